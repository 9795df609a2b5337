"""What is told of a config as a whole."""

import re

import pytest
from mmseg.registry import DATA_SAMPLERS
from stock_trainings import DATASET, EPOCHS, ITERATIONS, POLY, found, refusal, warning
from torch.utils.data import Sampler

from mmseg_kd.testing.toys import toy_segmentor


class EndlessByAnotherName(Sampler):
    def __init__(self, dataset, shuffle=True, seed=None):
        self._dataset = dataset

    def __iter__(self):
        while True:
            yield 0

    def __len__(self):
        return len(self._dataset)


@pytest.fixture
def endless():
    DATA_SAMPLERS.register_module(module=EndlessByAnotherName)
    yield
    DATA_SAMPLERS.module_dict.pop('EndlessByAnotherName')


def test_what_stock_configs_have_is_well():
    assert found() == ([], [])
    assert found(sampler='DefaultSampler') == ([], [])
    assert found(EPOCHS, 'DefaultSampler', dict(type='PolyLR', eta_min=0, end=20)) == ([], [])
    warm_up = [dict(type='LinearLR', start_factor=1e-6, begin=0, end=100, by_epoch=False), dict(POLY, begin=100)]
    assert found(scheduler=warm_up) == ([], []) and found(scheduler=dict(main=warm_up, critic=[POLY])) == ([], [])
    assert found(scheduler=None, best=None) == ([], [])


@pytest.mark.parametrize(
    'sampler', ['InfiniteSampler', 'StreamSampler', 'mmengine.InfiniteSampler', 'EndlessByAnotherName']
)
def test_an_endless_sampler_and_epochs_never_end(endless, sampler):
    text = refusal(EPOCHS, sampler, None)
    assert f'train_dataloader.sampler is {sampler.split(".")[-1]}, which never ends' in text
    assert 'train_cfg.max_epochs is 20' in text and "set train_dataloader.sampler.type='DefaultSampler'" in text
    assert found(sampler=sampler) == ([], [])
    text = refusal(val_dataloader=dict(dataset=DATASET, sampler=dict(type=sampler)))
    assert text.startswith(f'val_dataloader.sampler is {sampler.split(".")[-1]}') and 'IterBased' not in text


def test_validation_needs_all_of_its_keys():
    text = refusal(best=None, val_evaluator=None, val_cfg=None)
    assert 'but val_cfg and val_evaluator are not set' in text
    assert found(best=None, val_evaluator=None, val_cfg=None, val_dataloader=None) == ([], [])


def test_validation_that_never_comes_is_told():
    assert 'val_begin is 2000, but train_cfg.max_iters is 1000: nothing is ever validated' in warning(
        dict(ITERATIONS, val_begin=2000), best=None
    )
    assert 'val_interval is 4000' in warning(dict(ITERATIONS, val_interval=4000))
    assert "'mIoU', but nothing is validated" in warning(val_dataloader=None, val_cfg=None, val_evaluator=None)


@pytest.mark.parametrize(
    'padding, words',
    [
        (dict(size=None), r'either size or size_divisor to train, but has neither; set size .*, or size_divisor=1'),
        (dict(size_divisor=32), r'to train, but has both; set one of them to None'),
        (dict(size=None, size_divisor=32), None),
        (dict(type='BaseDataPreprocessor', _delete_=True), None),
    ],
)
def test_a_preprocessor_that_cannot_pad_a_batch_is_refused(padding, words):
    model = toy_segmentor(4)
    if padding.pop('_delete_', False):
        model.data_preprocessor = padding
    model.data_preprocessor.update(padding)
    refusals, _ = found(model=model)
    assert (not refusals) if words is None else re.search(words, *refusals)


def test_checkpoints_that_are_never_written_and_images_that_are_never_shuffled_are_told():
    assert 'saves nothing' in warning(checkpoint=dict(interval=2000, save_last=False))
    sampler = dict(type='InfiniteSampler', shuffle=False)
    assert 'shuffle is False' in warning(train_dataloader=dict(dataset=DATASET, sampler=sampler))
