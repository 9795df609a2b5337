import numpy as np
import pytest
import torch
from mmseg.registry import MODELS
from torch import nn

from mmseg_kd.distillers.labels import ignored_label, unify_ignored
from mmseg_kd.testing.toys import toy_segmentor


@pytest.mark.parametrize('given, expected', [(0, 0), (100, 100), (255, 255), (None, 255)])
def test_the_head_says_what_is_ignored_in_a_config_and_in_a_network(given, expected):
    config = toy_segmentor(4)
    config.decode_head.ignore_index = given
    assert ignored_label(config) == ignored_label(MODELS.build(config)) == expected


def test_of_a_cascade_the_last_head_says_it():
    assert ignored_label(dict(decode_head=[dict(ignore_index=i) for i in (6, 7, 8)])) == 8


@pytest.mark.parametrize('segmentor', [nn.Identity(), {}, toy_segmentor(4)])
def test_who_says_nothing_ignores_255(segmentor):
    assert ignored_label(segmentor) == 255


@pytest.mark.parametrize('labels', [torch.tensor([[0, 3, 255]]), np.array([[0, 3, 255]], np.uint8)])
def test_the_ignored_label_becomes_255_and_the_given_map_stays(labels):
    assert unify_ignored(labels, 3).tolist() == [[0, 255, 255]] and unify_ignored(labels, 0).tolist() == [[255, 3, 255]]
    assert unify_ignored(labels, 0).dtype == labels.dtype and labels.tolist() == [[0, 3, 255]]
    assert unify_ignored(labels, 255) is labels
