import pytest
import torch

from mmseg_kd.masks import OnClasses

PI = dict(type='PixelWiseKDLoss')


def test_the_pixels_of_the_classes_count():
    y = torch.tensor([[[0, 1, 255], [2, 3, 1]]])
    assert OnClasses([1, 2], PI).counted(None, None, y).tolist() == [[[False, True, False], [True, False, True]]]


def test_classes_must_exist():
    for only in ([], [-1]):
        with pytest.raises(ValueError, match='OnClasses: only must name one class or more, each >= 0'):
            OnClasses(only, PI)
    loss = OnClasses([3, 19], PI)
    loss.classes = 19
    with pytest.raises(ValueError, match=r'only must name classes below 19, but is \[3, 19\]'):
        loss.setup(torch.zeros(1, 19, 2, 2), torch.zeros(1, 19, 2, 2))


def test_it_leaves_nothing_in_a_checkpoint():
    assert not OnClasses([1], PI).state_dict()
