import json

import pytest
from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS

from mmseg_kd.io.listed_paths import check_listed_names
from mmseg_kd.io.safe_pickle import UnsafeFileError
from mmseg_kd.io.trust import TRUST
from mmseg_kd.labeling import read_summary
from mmseg_kd.labeling.writer import FORMAT
from mmseg_kd.testing.trees import write_camvid_tree


@pytest.mark.parametrize('name', ['/etc/passwd', '../x', 'a/../../x', '..', 'C:\\x', '..\\x', 'a\\..\\..\\x', '\\x'])
def test_a_name_that_leaves_its_folder_is_refused_unless_it_is_trusted(monkeypatch, name):
    with pytest.raises(
        UnsafeFileError, match='^val.txt lists .*, which lies outside of its folder; if you trust.*--trust'
    ):
        check_listed_names(['1', name], 'val.txt')
    monkeypatch.setenv(TRUST, '1')
    check_listed_names([name], 'val.txt')


@pytest.mark.parametrize('name', ['a', 'a/b', 'a/../b', 'a..b', '...', 'a:b/c', './a'])
def test_other_names_are_taken(name):
    check_listed_names([name], 'val.txt')


@pytest.mark.parametrize('name', ['../../outside', '/outside'])
def test_a_list_of_mmsegmentation_may_not_leave_the_folder(tmp_path, name):
    root = write_camvid_tree(str(tmp_path / 'camvid'), images=2, size=(8, 8))
    (tmp_path / 'val.txt').write_text(f'0001TP_000000\n{name}\n')
    config = dict(
        type='CamVidDataset', data_root=str(root), data_prefix=dict(img_path='img_dir/train'), img_suffix='.png',
        ann_file=str(tmp_path / 'val.txt'),
    )  # fmt: skip
    with pytest.raises(UnsafeFileError, match=r'val\.txt lists .*outside.*, which lies outside'):
        DATASETS.build(config)
    (tmp_path / 'val.txt').write_text('0001TP_000000\n')
    assert len(DATASETS.build(config)) == 1


def test_paths_are_relative_to_the_working_directory_without_a_folder(tmp_path):
    (tmp_path / 'val.txt').write_text(f'{tmp_path}/1\n')
    data = BaseSegDataset(ann_file=str(tmp_path / 'val.txt'), data_prefix=dict(img_path='', seg_map_path=None))
    assert len(data) == 1


@pytest.mark.parametrize('key, image', [('../1', '1.jpg'), ('1', '../1.jpg'), ('1', '/1.jpg')])
def test_a_summary_of_labels_may_not_leave_its_folder(tmp_path, key, image):
    summary = dict(format=FORMAT, classes=['a'], images={key: dict(image=image)}, unreadable={})
    (tmp_path / 'labels.json').write_text(json.dumps(summary))
    with pytest.raises(UnsafeFileError, match=r'labels\.json lists .*1.*, which lies outside of its folder'):
        read_summary(str(tmp_path))
