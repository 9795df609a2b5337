import pytest
import torch
from reference import assert_gradient, maps

from mmseg_kd.losses import PixelWiseKDLoss, SummedPixelWiseKDLoss


@pytest.mark.parametrize('tau', [1.0, 3.0])
def test_it_is_the_sum_of_the_images_and_the_mean_of_their_pixels(tau):
    student, teacher = maps(3, 5, 4, 6)
    each = [PixelWiseKDLoss(tau)(s[None], t[None]) for s, t in zip(student, teacher)]
    torch.testing.assert_close(SummedPixelWiseKDLoss(tau)(student, teacher), sum(each))


def test_a_doubled_batch_doubles_it():
    student, teacher = maps(2, 5, 3, 4)
    twice = SummedPixelWiseKDLoss()(student.repeat(2, 1, 1, 1), teacher.repeat(2, 1, 1, 1))
    torch.testing.assert_close(twice, 2 * SummedPixelWiseKDLoss()(student, teacher))


def test_gradient():
    assert_gradient(SummedPixelWiseKDLoss(2.0), *maps(2, 3, 2, 3))
