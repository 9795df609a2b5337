import numpy as np
import pytest
import torch
from reference import SHAPES, assert_gradient, assert_value, maps

from mmseg_kd.losses import HintLoss


def expected(student, teacher):
    return np.mean([(a - b) ** 2 for a, b in zip(student.numpy().ravel(), teacher.numpy().ravel())])


@pytest.mark.parametrize('shape', SHAPES)
def test_equals_the_formula(shape):
    student, teacher = maps(*shape)
    assert_value(HintLoss(), expected(student, teacher), student, teacher)


def test_levels_are_averaged():
    students, teachers = zip(maps(2, 3, 4, 5, seed=1), maps(2, 8, 2, 3, seed=2))
    value = np.mean([expected(s, t) for s, t in zip(students, teachers)])
    assert_value(HintLoss(), value, students, teachers)


def test_by_hand():
    student = torch.tensor([1.0, 2.0, 3.0, 4.0]).reshape(1, 2, 1, 2)
    assert HintLoss()(student, torch.zeros(1, 2, 1, 2)).item() == (1 + 4 + 9 + 16) / 4


def test_gradient():
    assert_gradient(HintLoss(), *maps(2, 3, 2, 3))


def test_a_doubled_batch_changes_nothing():
    student, teacher = maps(2, 5, 3, 4)
    twice = HintLoss()(student.repeat(2, 1, 1, 1), teacher.repeat(2, 1, 1, 1))
    torch.testing.assert_close(twice, HintLoss()(student, teacher))


def test_levels_must_pair():
    student, teacher = maps(1, 2, 3, 3)
    with pytest.raises(ValueError, match='got 2 of the student and 1 of the teacher'):
        HintLoss()((student, student), teacher)
