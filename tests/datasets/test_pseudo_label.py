from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.dataset import ClassBalancedDataset
from mmseg.registry import DATASETS
from PIL import Image

from mmseg_kd.labeling import find_images, write_labels

PIPELINE = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackSegInputs')]
# The class of every pixel but, in one image, of a few.
CLASS = {'a/1': 0, 'a/2': 0, 'b/3': 2, 'b/4': 0}


@pytest.fixture
def folders(tmp_path):
    for name in CLASS:
        (tmp_path / 'images' / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new('RGB', (4, 2), (9, 9, 9)).save(tmp_path / 'images' / f'{name}.{"jpg" if name == "a/2" else "png"}')

    def label(path):
        name = '/'.join(path.rsplit('.', 1)[0].split('/')[-2:])
        return torch.eye(3)[CLASS[name]][:, None, None].expand(-1, 2, 4)

    images = str(tmp_path / 'images')
    every = find_images(images)
    for out, part in (('all', every), ('first', every[:2]), ('second', every[2:])):
        write_labels(label, part, images, str(tmp_path / out), ['x', 'y', 'z'], [[1, 1, 1], [2, 2, 2], [3, 3, 3]])
    return tmp_path


def build(folders, labels='all', **more):
    labels = str(folders / labels) if isinstance(labels, str) else [str(folders / name) for name in labels]
    return DATASETS.build(
        dict(type='PseudoLabelDataset', images=str(folders / 'images'), labels=labels, pipeline=PIPELINE, **more)
    )


def test_images_come_with_the_labels_that_they_were_given(folders):
    dataset = build(folders)
    assert dataset.metainfo['classes'] == ('x', 'y', 'z') and dataset.metainfo['palette'][2] == [3, 3, 3]
    shown = {
        item['data_samples'].img_path[len(str(folders)) + 8 :]: item['data_samples'].gt_sem_seg.data
        for item in (dataset[index] for index in range(len(dataset)))
    }
    assert sorted(shown) == ['a/1.png', 'a/2.jpg', 'b/3.png', 'b/4.png']
    assert (shown['b/3.png'] == 2).all() and (shown['a/2.jpg'] == 0).all() and shown['a/1.png'].shape == (1, 2, 4)


def test_a_list_chooses_and_folders_join(folders):
    (folders / 'ids.txt').write_text('b/4\na/2\n')
    paths = [info['img_path'] for info in map(build(folders, ids=str(folders / 'ids.txt')).get_data_info, range(2))]
    assert [path.split('images/')[1] for path in paths] == ['b/4.png', 'a/2.jpg']
    assert len(build(folders, ['first', 'second'])) == 4
    with pytest.raises(ValueError, match='2 images have a label in .*first and in another folder, such as a/1'):
        build(folders, ['all', 'first'])


def test_images_of_rare_classes_are_repeated_by_mmengines_wrapper(folders):
    balanced = ClassBalancedDataset(build(folders), oversample_thr=1.0)
    # Class z is in a quarter of the images, x in three: sqrt(1 / 0.25) = 2, and sqrt(1 / 0.75), rounded up, 2.
    balanced_half = ClassBalancedDataset(build(folders), oversample_thr=0.75)
    assert len(balanced) == 8 and len(balanced_half) == 5
    assert sum(int((item['data_samples'].gt_sem_seg.data == 2).all()) for item in balanced_half) == 2


def test_what_does_not_fit_is_said(folders):
    (folders / 'ids.txt').write_text('b/4\nc/9\n')
    with pytest.raises(
        ValueError, match='1 of 2 ids have no labels in .*all, such as c/9; the labeled ids look like a/1'
    ):
        build(folders, ids=str(folders / 'ids.txt'))
    with pytest.raises(ValueError, match='must hold labels.json, as tools/pseudo_label.py writes it, but does not'):
        build(folders, 'images')
    write_labels(
        lambda path: torch.ones(2, 2, 4) / 2, ['a/1.png'], str(folders / 'images'), str(folders / 'other'), ['x', 'q']
    )
    with pytest.raises(
        ValueError, match='must have the same classes, but those of .*other differ from those of .*second'
    ):
        build(folders, ['second', 'other'])


def test_an_image_that_could_not_be_read_is_left_out(folders):

    def broken(path):
        if '1' in path.rsplit('/', 1)[1]:
            raise ValueError(f"{path} can't be read")
        return torch.ones(3, 2, 4) / 3

    images = str(folders / 'images')
    write_labels(broken, find_images(images), images, str(folders / 'some'), list('xyz'), skip_unreadable=True)
    (folders / 'ids.txt').write_text('a/1\na/2\n')
    assert len(build(folders, 'some')) == 3 and len(build(folders, 'some', ids=str(folders / 'ids.txt'))) == 1
    assert np.isclose(build(folders, 'some').get_data_info(0)['present'], [0]).all()


def test_soft_labels_are_found_beside_the_hard_ones_where_there_are_any(folders):
    assert build(folders).get_data_info(0)['soft_label_path'] is None
    images = str(folders / 'images')
    write_labels(
        lambda path: torch.ones(3, 2, 4) / 3, find_images(images), images, str(folders / 'soft'), list('xyz'), top_k=1
    )
    paths = [build(folders, 'soft').get_data_info(index)['soft_label_path'] for index in range(4)]
    assert sorted(paths) == [str(folders / 'soft' / f'{name}.npz') for name in sorted(CLASS)]
    assert all(Path(path).is_file() for path in paths)
