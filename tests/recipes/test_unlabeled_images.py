import inspect

import numpy as np
import pytest
import torch
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import DATASETS

from mmseg_kd.io.errors import ConfigError
from mmseg_kd.recipes import with_unlabeled
from mmseg_kd.recipes.unlabeled_images import DEFAULT_LOSS, average_over_labeled_pixels, no_labels
from mmseg_kd.testing.trees import write_camvid_tree

PIPELINE = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomFlip', prob=1.0),
    dict(type='PackSegInputs'),
]


@pytest.fixture
def labeled(tmp_path):
    root = write_camvid_tree(tmp_path / 'labeled', images=2, size=(6, 8))
    return dict(
        type='CamVidDataset',
        data_root=str(root),
        data_prefix=dict(img_path='img_dir/train', seg_map_path='ann_dir/train'),
        pipeline=PIPELINE,
    )


@pytest.fixture
def folder(tmp_path):
    return write_camvid_tree(tmp_path / 'more', images=5, size=(6, 8)) / 'img_dir'


@pytest.mark.parametrize('wrapped', [False, True])
def test_half_of_the_items_have_labels_and_the_others_none(labeled, folder, wrapped):
    alone = DATASETS.build(labeled)
    more = len(list(folder.rglob('*.jpg')) + list(folder.rglob('*.png')))
    config = dict(type='RepeatDataset', times=1, dataset=labeled) if wrapped else labeled
    joined = DATASETS.build(with_unlabeled(config, str(folder)))
    assert joined.metainfo['classes'] == alone.metainfo['classes']
    times = round(more / len(alone))
    assert times > 1 and len(joined) == times * len(alone) + more
    for index in range(times * len(alone)):
        expected = alone[index % len(alone)]
        assert torch.equal(joined[index]['inputs'], expected['inputs'])
        assert torch.equal(joined[index]['data_samples'].gt_sem_seg.data, expected['data_samples'].gt_sem_seg.data)
    for index in range(times * len(alone), len(joined)):
        item = joined[index]
        assert item['data_samples'].gt_sem_seg.data.unique().tolist() == [254]
        assert str(folder) in item['data_samples'].img_path
        assert item['data_samples'].flip and item['inputs'].shape[1:] == item['data_samples'].gt_sem_seg.data.shape[1:]


def test_few_unlabeled_images_leave_the_labeled_ones_as_they_are(labeled, tmp_path):
    (tmp_path / 'one').mkdir()
    np.save(tmp_path / 'one' / 'no_image.npy', np.zeros(1))
    (tmp_path / 'one' / 'a.png').touch()
    assert with_unlabeled(labeled, str(tmp_path / 'one'))['datasets'][0]['times'] == 1


@pytest.mark.parametrize(
    'pipeline, message',
    [
        ([PIPELINE[0], PIPELINE[3]], 'but has no LoadAnnotations;'),
        (PIPELINE[:2], 'but has no PackSegInputs;'),
        ([], 'but has no LoadAnnotations and no PackSegInputs;'),
    ],
)
def test_data_sets_whose_pipeline_is_elsewhere_are_refused(labeled, folder, pipeline, message):
    with pytest.raises(ConfigError, match=message):
        with_unlabeled(dict(labeled, pipeline=pipeline), str(folder))


def test_a_folder_without_images_is_refused(labeled, tmp_path):
    (tmp_path / 'empty').mkdir()
    for folder in (tmp_path / 'empty', tmp_path / 'nowhere'):
        with pytest.raises(ConfigError, match='--unlabeled: UnlabeledFolderDataset: '):
            with_unlabeled(labeled, str(folder))


def test_ignored_labels_are_those_of_the_student():
    assert no_labels(255) == dict(type='LoadVoidAnnotations')
    assert no_labels(0) == dict(type='LoadVoidAnnotations', ignore_index=0)


def test_the_mean_of_a_cross_entropy_counts_labeled_pixels_only():
    weighted = dict(type='mmseg.CrossEntropyLoss', class_weight=[1.0, 2.0])
    model = dict(
        decode_head=[
            dict(type='FCNHead'),
            dict(loss_decode=[dict(type='DiceLoss'), dict(type='mmseg.CrossEntropyLoss')]),
        ],
        auxiliary_head=dict(loss_decode=weighted),
    )
    default = dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0, avg_non_ignore=True)
    changed = {
        'decode_head[0].loss_decode': default,
        'decode_head[1].loss_decode[1]': dict(type='mmseg.CrossEntropyLoss', avg_non_ignore=True),
    }
    assert average_over_labeled_pixels(model) == changed
    assert model == dict(
        decode_head=[
            dict(type='FCNHead', loss_decode=default),
            dict(loss_decode=[dict(type='DiceLoss'), changed['decode_head[1].loss_decode[1]']]),
        ],
        auxiliary_head=dict(loss_decode=weighted),
    )
    masks = dict(decode_head=dict(type=torch.nn.Identity, loss_mask=dict(type='CrossEntropyLoss')))
    assert average_over_labeled_pixels(masks) == {} and 'loss_decode' not in masks['decode_head']
    assert DEFAULT_LOSS == inspect.signature(BaseDecodeHead).parameters['loss_decode'].default
