import pytest
from mmseg.registry import DATASETS

from mmseg_kd.datasets import write_digit_scenes

pytest.importorskip('sklearn')
LOAD = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackSegInputs')]


@pytest.fixture(scope='module')
def labeled(tmp_path_factory):
    root = tmp_path_factory.mktemp('scenes')
    write_digit_scenes(root, num_train=8, num_val=1)
    return dict(
        type='DigitScenesDataset',
        data_root=str(root),
        img_suffix='.png',
        pipeline=LOAD,
        data_prefix=dict(img_path='img_dir/train', seg_map_path='ann_dir/train'),
    )


def test_it_is_the_labeled_part_of_the_semi_supervised_data_set(labeled):
    partition = dict(fraction=0.25, seed=3)
    part = DATASETS.build(dict(type='LabeledPartDataset', labeled=labeled, partition=partition))
    whole = DATASETS.build(
        dict(
            type='SemiSupervisedDataset',
            labeled=labeled,
            partition=partition,
            unlabeled_pipelines=[
                [dict(type='LoadImageFromFile'), dict(type='LoadBlankAnnotations'), dict(type='PackSegInputs')]
            ],
        )
    )
    assert len(part) == 2 and part.metainfo['classes'][0] == 'background'
    shown = {part[index]['data_samples'].img_path for index in range(2)}
    assert shown == {whole[n]['labeled']['data_samples'].img_path for n in range(2)}
    assert 'gt_sem_seg' in part[0]['data_samples'] and part[0]['inputs'].shape == (3, 64, 64)


def test_a_partition_that_does_not_fit_is_refused(labeled):
    with pytest.raises(ValueError, match='186 of 186 ids are not among the 8 images of labeled'):
        DATASETS.build(dict(type='LabeledPartDataset', labeled=labeled, partition='cityscapes/1_16'))
