import pickle
import random

import numpy as np
import pytest
import torch
from mmengine.dataset import ConcatDataset, RepeatDataset, pseudo_collate
from mmseg.datasets import MultiImageMixDataset
from mmseg.registry import DATASETS
from torch.utils.data import DataLoader

from mmseg_kd.datasets import CamVidDataset, ViewDataset
from mmseg_kd.datasets.image_list import listed_images
from mmseg_kd.testing.trees import write_camvid_tree

PIPELINE = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomCrop', crop_size=(16, 16)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs'),
]


@pytest.fixture(scope='module')
def camvid(tmp_path_factory):
    root = write_camvid_tree(tmp_path_factory.mktemp('camvid'), images=4, size=(24, 32))
    return dict(
        type='CamVidDataset',
        data_root=str(root),
        data_prefix=dict(img_path='img_dir/train', seg_map_path='ann_dir/train'),
        pipeline=PIPELINE,
    )


def images(items):
    return [item['inputs'] for item in items]


def equal(first, second):
    return len(first) == len(second) and all(torch.equal(a, b) for a, b in zip(first, second))


def mixed(camvid):
    load, crop, pack = PIPELINE[:2], PIPELINE[2:5], PIPELINE[5:]
    mosaic = dict(type='RandomMosaic', prob=1.0, img_scale=(24, 32))
    return dict(type='MultiImageMixDataset', dataset=dict(camvid, pipeline=load), pipeline=[mosaic, *crop, *pack])


@pytest.mark.parametrize(
    'wrap',
    [
        lambda camvid: camvid,
        lambda camvid: dict(type='RepeatDataset', dataset=camvid, times=2),
        lambda camvid: dict(type='ConcatDataset', datasets=[camvid, camvid]),
        mixed,
    ],
)
def test_a_view_depends_on_seed_image_and_number_alone(camvid, wrap):
    views = DATASETS.build(dict(type='ViewDataset', dataset=wrap(camvid)))
    total = len(views)
    first = images(views[n] for n in range(2 * total))
    assert not any(torch.equal(first[n], first[n + total]) for n in range(total))
    random.seed(5)
    np.random.seed(5)
    torch.manual_seed(5)
    backwards = images(views[n] for n in reversed(range(2 * total)))
    assert equal(first, backwards[::-1])
    assert torch.equal(views.view(image=1, number=1)['inputs'], first[total + 1])
    views.seed = 1
    assert not torch.equal(views[0]['inputs'], first[0])


def test_repeated_and_joined_images_have_views_of_their_own(camvid):
    plain = CamVidDataset(**{key: value for key, value in camvid.items() if key != 'type'})
    for inner in (RepeatDataset(plain, times=2), ConcatDataset([plain, plain])):
        views = ViewDataset(inner)
        assert not any(torch.equal(views[n]['inputs'], views[n + 4]['inputs']) for n in range(4))


def test_workers_give_the_views_that_one_process_gives(camvid):
    views = ViewDataset(camvid)
    numbers = [5, 0, 7, 2]
    loader = DataLoader(views, batch_size=2, sampler=numbers, num_workers=2, collate_fn=pseudo_collate)
    assert equal([image for batch in loader for image in batch['inputs']], images(views[n] for n in numbers))


def test_it_is_the_wrapped_data_set_to_whoever_reads_or_changes_it(camvid):
    views = ViewDataset(camvid)
    assert len(views) == len(list(views)) == 4 and views.metainfo['classes'] == CamVidDataset.METAINFO['classes']
    assert views.get_data_info(6)['img_path'] == views.dataset.get_data_info(2)['img_path']
    assert listed_images(views) == [(views.dataset, index) for index in range(4)]
    views.pipeline = 'changed by a hook'
    assert views.dataset.pipeline == 'changed by a hook' and not hasattr(views, 'no_such_attribute')
    assert pickle.loads(pickle.dumps(views)).seed == views.seed == 0


def test_mix_inside_uses_the_seeded_generators(camvid):
    mix = MultiImageMixDataset(**{key: value for key, value in mixed(camvid).items() if key != 'type'})
    assert torch.equal(ViewDataset(mix, seed=3)[1]['inputs'], ViewDataset(mix, seed=3)[1]['inputs'])
