"""Batches that BatchNorm cannot learn from."""

import pytest
import torch
from mmengine.dataset import DefaultSampler, InfiniteSampler
from mmseg.registry import MODELS
from torch import nn
from torch.utils.data import DataLoader

from mmseg_kd.datasets import InfiniteViewSampler, StreamSampler, ViewSampler
from mmseg_kd.engine.checks import Loop, check_data_classes, check_loader
from mmseg_kd.engine.checks.loader_checks import is_endless, norm_of_single_values
from mmseg_kd.testing.toys import ToyDataset, toy_segmentor


class Pooled(nn.Module):
    """A segmentor's outside, with BatchNorm behind global pooling, as ASPP has it."""

    def __init__(self, frozen=False):
        super().__init__()
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
        self.frozen = frozen

    def extract_feat(self, inputs):
        return self.pool(inputs)

    def train(self, mode=True):
        super().train(mode)
        if self.frozen:
            self.pool[2].eval()
        return self


def loader(number, sampler=DefaultSampler, **settings):
    data = list(range(number))
    return DataLoader(data, sampler=sampler(data), **settings)


LOOP = Loop('train_cfg', True, 2, {})


def test_a_batch_of_one_is_refused_where_batch_norm_sees_one_value():
    with pytest.raises(ValueError, match='Expected more than 1 value per channel'):
        Pooled().train().extract_feat(torch.zeros(1, 3, 8, 8))
    (text,) = check_loader(loader(9, batch_size=4), Pooled(), (8, 8), LOOP).refusals
    assert 'pool.2 has one value' in text and 'the last batch of 9 images has 1' in text and 'drop_last=True' in text
    (text,) = check_loader(loader(8, batch_size=1), Pooled(), (8, 8), LOOP).refusals
    assert 'train_dataloader.batch_size is 1; set 2 or more' in text
    for healthy in (
        loader(10, batch_size=4),
        loader(9, batch_size=4, drop_last=True),
        loader(9, InfiniteSampler, batch_size=4),
    ):
        assert check_loader(healthy, Pooled(), (8, 8), LOOP).refusals == []
    assert check_loader(loader(9, batch_size=4), Pooled(frozen=True), (8, 8), LOOP).refusals == []


def test_a_pass_that_training_does_not_finish_has_no_last_batch():
    assert check_loader(loader(9, batch_size=4), Pooled(), (8, 8), Loop('train_cfg', False, 2, {})).refusals == []
    assert check_loader(loader(9, batch_size=4), Pooled(), (8, 8), Loop('train_cfg', False, 3, {})).refusals != []


def test_trying_a_network_leaves_it_as_it_was():
    network = Pooled()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert norm_of_single_values(network, (8, 8)) == 'pool.2' and network.pool[2].training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not network.pool[2]._forward_pre_hooks


def test_heads_are_looked_at_too():
    psp = toy_segmentor()
    assert norm_of_single_values(MODELS.build(psp), (32, 32)) == 'decode_head.psp_modules.0.1.bn'
    without = toy_segmentor(auxiliary=False)
    without.decode_head.update(type='FCNHead', num_convs=1)
    without.decode_head.pop('pool_scales')
    assert norm_of_single_values(MODELS.build(without), (32, 32)) is None
    without.auxiliary_head = psp.decode_head
    assert norm_of_single_values(MODELS.build(without), (32, 32)) == 'auxiliary_head.psp_modules.0.1.bn'


def test_fewer_images_than_a_batch_that_are_dropped_are_refused():
    (text,) = check_loader(loader(3, batch_size=4, drop_last=True), Pooled(), (8, 8), LOOP).refusals
    assert 'a process has 3 images, fewer than train_dataloader.batch_size (4)' in text
    assert check_loader(loader(3, InfiniteSampler, batch_size=4, drop_last=True), Pooled(), (8, 8), LOOP).refusals == []


def test_a_network_has_the_classes_of_the_data():
    network = MODELS.build(toy_segmentor(num_classes=4))

    def found(classes):
        problems = check_data_classes(DataLoader(ToyDataset(num_classes=classes)), network)
        return problems.refusals, problems.warnings

    assert found(4) == ([], [])
    assert found(11)[0] == [
        'model.decode_head.num_classes is 4, but train_dataloader.dataset has 11 classes; set num_classes=11 in all heads'
    ]
    assert 'the other outputs learn nothing; set num_classes=3' in found(3)[1][0]


def test_the_samplers_without_end_are_known():
    endless = {
        kind
        for kind in (InfiniteSampler, InfiniteViewSampler, StreamSampler, DefaultSampler, ViewSampler)
        if is_endless(kind)
    }
    assert endless == {InfiniteSampler, InfiniteViewSampler, StreamSampler}
