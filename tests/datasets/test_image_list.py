import pytest
import torch
from mmseg.registry import DATASETS

from mmseg_kd.datasets.image_list import ImageList, listed_images, overlap
from mmseg_kd.testing.trees import write_camvid_tree

LOAD = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackSegInputs')]


@pytest.fixture
def camvid(tmp_path):
    write_camvid_tree(tmp_path, images=4, size=(12, 16))

    def config(split):
        return dict(
            type='CamVidDataset',
            data_root=str(tmp_path),
            pipeline=LOAD,
            data_prefix=dict(img_path=f'img_dir/{split}', seg_map_path=f'ann_dir/{split}'),
        )

    return config


def names(images):
    return [leaf.get_data_info(index)['img_path'][-14:-4] for leaf, index in images]


def test_each_image_is_listed_once_whatever_wraps_its_data_set(camvid):
    train, val = (
        [f'{split}TP_{i:06d}' for i in range(first, first + 4)] for split, first in (('0001', 0), ('0001', 4))
    )
    repeated = dict(type='RepeatDataset', times=3, dataset=camvid('train'))
    both = dict(type='ConcatDataset', datasets=[repeated, camvid('val')])
    mixed = dict(type='MultiImageMixDataset', dataset=both, pipeline=[dict(type='RandomMosaic', prob=1.0)])
    expected = [name[-10:] for name in train + val]
    assert names(listed_images(DATASETS.build(mixed))) == expected
    assert len(ImageList.within(mixed, 'here')) == 8 and len(DATASETS.build(mixed)) == 16
    subset = torch.utils.data.Subset(DATASETS.build(both['datasets'][1]), [2, 0])
    assert names(listed_images(subset)) == [expected[6], expected[4]]
    assert listed_images([1, 2]) == []


def test_of_a_divided_data_set_the_labeled_images_are_listed(camvid):
    partition = dict(fraction=0.25, seed=1)
    blank = [LOAD[0], dict(type='LoadBlankAnnotations'), LOAD[2]]
    part = DATASETS.build(dict(type='LabeledPartDataset', labeled=camvid('train'), partition=partition))
    whole = DATASETS.build(
        dict(type='SemiSupervisedDataset', labeled=camvid('train'), partition=partition, unlabeled_pipelines=[blank])
    )
    repeated = DATASETS.build(dict(type='ConcatDataset', datasets=[camvid('val')]))
    assert names(listed_images(part)) == names(listed_images(whole)) == [part[0]['data_samples'].img_path[-14:-4]]
    assert len(whole.unlabeled_paths()) == 3 and len(listed_images(repeated)) == 4
    assert not set(whole.unlabeled_paths()) & {part[0]['data_samples'].img_path}


def test_images_with_another_suffix_are_told(camvid):
    config = dict(camvid('train'), img_suffix='.tif')
    with pytest.raises(ValueError, match=r'here: no image was found; check .*; the files in .*/train end in \.jpg$'):
        ImageList(config, 'here')


def test_a_data_set_that_asserts_its_files_is_told_in_a_sentence():
    gone = dict(type='PascalVOCDataset', data_root='/nowhere', ann_file='list.txt', data_prefix=dict(img_path='i'))
    with pytest.raises(
        ValueError, match=r'here: Failed to load `ann_file` /nowhere/list.txt; check its data_root \("/n'
    ):
        ImageList(gone, 'here')
    drive = dict(type='DRIVEDataset', data_root='/nowhere', data_prefix=dict(img_path='i'))
    with pytest.raises((ValueError, OSError), match='/nowhere'):
        ImageList(drive, 'here')


def test_a_link_makes_no_second_image(tmp_path):
    (tmp_path / 'a').mkdir()
    (tmp_path / 'a' / 'x.jpg').touch()
    (tmp_path / 'b').symlink_to(tmp_path / 'a')
    assert overlap([str(tmp_path / 'b' / 'x.jpg')], [str(tmp_path / 'a' / 'x.jpg')]) == [str(tmp_path / 'a' / 'x.jpg')]
