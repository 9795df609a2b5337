import itertools
from pathlib import Path

import pytest
import torch
from mmengine.runner import Runner
from mmseg.registry import DATA_SAMPLERS

from mmseg_kd.testing.toys import ToyDataset
from mmseg_kd.testing.trees import write_camvid_tree

LABELED = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomResize', scale=(48, 36), ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type='RandomCrop', crop_size=(32, 32)),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs'),
]
UNLABELED = [LABELED[0], dict(type='LoadBlankAnnotations'), *LABELED[2:]]


def loader(root, **settings):
    dataset = dict(
        type='SemiSupervisedDataset',
        labeled=dict(
            type='CamVidDataset',
            data_root=str(root),
            data_prefix=dict(img_path='img_dir/train', seg_map_path='ann_dir/train'),
            pipeline=LABELED,
        ),
        unlabeled_pipelines=[UNLABELED, UNLABELED],
        partition=dict(fraction=0.3),
    )
    return dict(batch_size=2, num_workers=0, sampler=dict(type='StreamSampler'), dataset=dataset, **settings)


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    return write_camvid_tree(tmp_path_factory.mktemp('camvid'), images=10, size=(36, 48))


def batches(root, count, skip=0, seed=3, **settings):
    built = Runner.build_dataloader({**loader(root), **settings}, seed=seed)
    built.sampler.skip(skip)
    return [flat(batch) for batch in itertools.islice(built, count)]


def flat(batch):
    """Names, images and labels of every item and branch of a batch: a list of items."""
    parts = [batch['labeled'], *batch['unlabeled']]
    return [
        [
            (Path(part['data_samples'][i].img_path).stem, part['inputs'][i], part['data_samples'][i].gt_sem_seg.data)
            for part in parts
        ]
        for i in range(len(parts[0]['inputs']))
    ]


def equal(items, others):
    return len(items) == len(others) and all(
        a[0] == b[0] and torch.equal(a[1], b[1]) and torch.equal(a[2], b[2])
        for item, other in zip(items, others)
        for a, b in zip(item, other)
    )


def join(lists):
    return list(itertools.chain.from_iterable(lists))


@pytest.mark.parametrize('workers', [0, 2])
def test_resuming_in_the_middle_gives_the_same_next_batches(root, workers):
    whole = batches(root, 9)
    resumed = batches(root, 4, skip=5 * 2, num_workers=workers)
    assert all(map(equal, resumed, whole[5:])) and len(resumed) == 4
    assert not equal(resumed[0], whole[4])


def test_worker_processes_give_the_items_that_one_process_gives(root):
    assert equal(join(batches(root, 7, num_workers=2)), join(batches(root, 7)))


def test_two_ranks_together_draw_the_joined_batch_of_one_process(root, monkeypatch):
    joined = batches(root, 6, batch_size=4)
    ranks = []
    for rank in range(2):
        monkeypatch.setattr('mmseg_kd.datasets.view_sampler.get_dist_info', lambda: (rank, 2))
        ranks.append(batches(root, 4, skip=2 * 2))
    for step, batch in enumerate(joined[2:]):
        together = join(zip(ranks[0][step], ranks[1][step]))
        assert equal(together, batch)


def test_the_seed_of_the_run_decides_unless_the_sampler_has_its_own(root):
    drawn = [join(batches(root, 3, seed=seed)) for seed in (3, 3, 4)]
    assert equal(drawn[0], drawn[1]) and not equal(drawn[0], drawn[2])
    assert equal(join(batches(root, 3, seed=4, sampler=dict(type='StreamSampler', seed=3))), drawn[0])


def test_without_a_seed_processes_agree_on_one(root, monkeypatch):
    monkeypatch.setattr('mmseg_kd.datasets.view_sampler.sync_random_seed', lambda: 77)
    built = Runner.build_dataloader(loader(root))
    assert built.sampler.seed == built.dataset.seed == 77 and len(built.sampler) == len(built.dataset) == 7


def test_another_data_set_is_refused():
    with pytest.raises(ValueError, match='counts for a SemiSupervisedDataset, but .*dataset is a ToyDataset'):
        DATA_SAMPLERS.build(dict(type='StreamSampler', dataset=ToyDataset(), seed=0))
