import pytest
from mmengine.dataset import InfiniteSampler
from mmengine.runner import Runner

from mmseg_kd.datasets import InfiniteViewSampler, StreamSampler, ViewDataset, ViewSampler
from mmseg_kd.engine.views import as_views
from mmseg_kd.testing.toys import ToyDataset, toy_runner, toy_segmentor
from mmseg_kd.testing.trees import write_camvid_tree

IMAGES = dict(type='CamVidDataset')
PAIRS = dict(type='SemiSupervisedDataset')


def loader(sampler, dataset=IMAGES, **settings):
    return dict(batch_size=2, dataset=dataset, sampler=sampler, **settings)


@pytest.mark.parametrize(
    'sampler, expected',
    [
        (dict(type='InfiniteSampler', shuffle=True), dict(type=InfiniteViewSampler, shuffle=True)),
        (dict(type=InfiniteSampler), dict(type=InfiniteViewSampler)),
        # As in a config that inherits `mmseg_kd::...`.
        (dict(type='InfiniteSampler', _scope_='mmseg_kd'), dict(type=InfiniteViewSampler)),
        (dict(type='mmengine.DefaultSampler', shuffle=False, seed=3), dict(type=ViewSampler, shuffle=False, seed=3)),
    ],
)
def test_the_samplers_of_mmengine_become_those_of_views(sampler, expected):
    before = loader(sampler, num_workers=2)
    assert as_views(before) == loader(expected, dict(type=ViewDataset, dataset=IMAGES), num_workers=2)
    assert before == loader(sampler, num_workers=2)


@pytest.mark.parametrize(
    'sampler, expected',
    [
        (dict(type='InfiniteSampler', shuffle=True), dict(type=StreamSampler)),
        (dict(type='DefaultSampler'), dict(type=ViewSampler)),
    ],
)
def test_pairs_have_views_of_their_own_and_get_another_sampler_alone(sampler, expected):
    assert as_views(loader(sampler, PAIRS)) == loader(expected, PAIRS)


@pytest.mark.parametrize(
    'sampler, dataset', [('StreamSampler', PAIRS), ('InfiniteViewSampler', dict(type='ViewDataset', dataset=IMAGES))]
)
def test_own_samplers_stay_and_their_data_sets_take_a_number_of_views(sampler, dataset):
    before = loader(dict(type=sampler), dataset)
    assert as_views(before) == before
    assert as_views(before, views=3, view_seed=1)['dataset'] == dict(dataset, views=3, view_seed=1)
    own = dict(dataset, views=2)
    assert as_views(loader(dict(type=sampler), own), views=3)['dataset']['views'] == 2


def test_a_data_set_of_another_library_is_wrapped():
    theirs = dict(type='TheirDataset', _scope_='theirs')
    assert as_views(loader(dict(type='InfiniteSampler'), theirs))['dataset'] == dict(type=ViewDataset, dataset=theirs)


def test_a_data_set_of_views_is_not_wrapped_again():
    views = ViewDataset(ToyDataset())
    assert as_views(loader(dict(type='InfiniteSampler'), views))['dataset'] is views


@pytest.mark.parametrize(
    'left',
    [
        loader(dict(type='UnknownSampler')),
        loader(dict(type='DefaultSampler', round_up=False)),
        loader(dict(type='DefaultSampler'), num_batch_per_epoch=3),
        loader(dict(type='DefaultSampler'), batch_sampler=dict(type='Own')),
        loader(InfiniteSampler([1, 2], seed=0)),
        dict(sampler=dict(type='InfiniteSampler')),
    ],
)
def test_everything_else_is_left_as_it_is(left):
    assert as_views(left) is left


def test_every_runner_trains_on_views_and_its_config_stays(tmp_path):
    runner = toy_runner(toy_segmentor(2), tmp_path)
    assert isinstance(runner.train_dataloader.dataset, ViewDataset)
    assert isinstance(runner.train_dataloader.sampler, InfiniteViewSampler)
    plain = Runner.build_dataloader(loader(dict(type='DefaultSampler'), ToyDataset()))
    assert isinstance(plain.dataset, ToyDataset)


def test_original_pixels_reach_the_teacher_from_the_config_alone(tmp_path):
    root = write_camvid_tree(tmp_path / 'data', images=2, size=(64, 96))
    steps = [dict(type='Resize', scale=(48, 32)), dict(type='RandomCrop', crop_size=(32, 32))]
    pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), *steps, dict(type='PackSegInputs')]
    camvid = dict(
        type='CamVidDataset',
        data_root=str(root),
        data_prefix=dict(img_path='img_dir/train', seg_map_path='ann_dir/train'),
        pipeline=pipeline,
    )
    network = toy_segmentor(2, 11, auxiliary=False)
    term = dict(student='logits', teacher='logits', loss=dict(type='PixelWiseKDLoss'))
    model = dict(
        type='Distiller', student=network, teacher=dict(model=network, pixels='original'), terms=dict(loss_pi=term)
    )
    data = dict(batch_size=2, num_workers=0, dataset=camvid, sampler=dict(type='InfiniteSampler'))
    runner = toy_runner(model, tmp_path / 'run', max_iters=1, train_dataloader=data)
    seen = []
    teacher = runner.model.teachers['']
    read = teacher.read
    teacher.read = lambda inputs, paths, *args: (
        seen.append(read(inputs, ['inputs'], *args)) or read(inputs, paths, *args)
    )
    runner.train()
    assert seen[0]['inputs'].shape == (2, 3, 64, 64)
    plain = toy_runner(toy_segmentor(2, 11), tmp_path / 'plain', train_dataloader=data)
    assert 'original' not in next(iter(plain.train_dataloader))['data_samples'][0]


def test_a_loop_that_passes_its_loader_on_gets_it_as_it_stands(tmp_path):
    left = loader(dict(type='DefaultSampler'), dict(type='PseudoLabelDataset', images='images'))
    runner = toy_runner(
        toy_segmentor(2), tmp_path, train_dataloader=left, train_cfg=dict(type='MCKDLoop', teacher={}, train={})
    )
    assert runner._train_dataloader == left
