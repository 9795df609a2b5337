from pathlib import Path

import pytest
from mmseg.registry import DATASETS

from mmseg_kd.testing.trees import write_camvid_tree


def build(folder, **settings):
    return DATASETS.build(dict(type='UnlabeledFolderDataset', folder=str(folder), **settings))


def names(data):
    return [Path(data.get_data_info(i)['img_path']).name for i in range(len(data))]


def test_lists_images_of_all_kinds_and_depths_and_nothing_else(tmp_path):
    for name in ('b.JPG', 'deep/er/a.png', 'c.Jpeg', 'notes.txt', '.hidden.png', 'd.jpg.bak'):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    data = build(tmp_path)
    assert names(data) == ['b.JPG', 'c.Jpeg', 'a.png']
    assert 'seg_map_path' not in data.get_data_info(0)
    assert names(build(tmp_path, suffixes=('.png',))) == ['a.png']
    assert names(build(tmp_path, backend_args=dict(backend='local'))) == ['b.JPG', 'c.Jpeg', 'a.png']
    (tmp_path / 'deep' / 'up').symlink_to(tmp_path)
    assert names(build(tmp_path)) == ['b.JPG', 'c.Jpeg', 'a.png']


def test_runs_a_pipeline_of_its_own(tmp_path):
    write_camvid_tree(tmp_path, images=1, size=(12, 16))
    data = build(tmp_path / 'img_dir', pipeline=[dict(type='LoadImageFromFile'), dict(type='PackSegInputs')])
    assert len(data) == 2 and data[0]['inputs'].shape == (3, 12, 16) and 'gt_sem_seg' not in data[0]['data_samples']


def test_a_missing_or_empty_folder_is_told(tmp_path):
    with pytest.raises(ValueError, match=f'folder must be a folder of images, but there is no {tmp_path}/nowhere'):
        build(tmp_path / 'nowhere')
    with pytest.raises(ValueError, match=r'must hold images \(\.jpg, \.jpeg, .*\), but holds none'):
        build(tmp_path)
