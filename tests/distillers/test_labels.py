import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import nn

from mmseg_kd.distillers.labels import check_no_unknown, fill_unknown, ignored_label, unify_ignored
from mmseg_kd.io.errors import ConfigError
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


@pytest.mark.parametrize(
    'classes, expected', [(torch.tensor([[[7, 8, 9]]]), [[[7, 0, 255]]]), (255, [[[255, 0, 255]]])]
)
def test_unknown_labels_are_filled_in_a_copy_and_their_edges_ignored(classes, expected):
    labels = PixelData(data=torch.tensor([[[254, 0, 255]]], dtype=torch.uint8))
    edges = PixelData(data=torch.tensor([[[0, 1, 0]]], dtype=torch.uint8))
    sample = SegDataSample(metainfo=dict(img_path='a.png'), gt_sem_seg=labels, gt_edge_map=edges)
    filled = fill_unknown(sample, classes)
    assert filled.gt_sem_seg.data.tolist() == expected and filled.gt_sem_seg.data.dtype == torch.uint8
    assert filled.gt_edge_map.data.tolist() == [[[255, 1, 0]]] and filled.img_path == 'a.png'
    assert sample.gt_sem_seg.data.tolist() == [[[254, 0, 255]]] and sample.gt_edge_map.data.tolist() == [[[0, 1, 0]]]


def test_unknown_labels_are_refused_unless_they_are_a_class():
    check_no_unknown(torch.tensor([0, 3, 255]), 4, 'Distiller')
    check_no_unknown(torch.tensor([254]), 255, 'Distiller')
    for classes in (4, 254):
        with pytest.raises(ConfigError, match='but is Distiller; change it, or load these images with LoadVoid'):
            check_no_unknown(torch.tensor([0, 254]), classes, 'Distiller')
