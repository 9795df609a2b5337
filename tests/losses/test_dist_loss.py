import numpy as np
import pytest
import torch
from reference import assert_gradient, assert_value, gradient, kept_floats, maps, softmax

from mmseg_kd.losses import DISTLoss

SHAPES = [(1, 2, 7, 9), (2, 19, 5, 8), (1, 150, 3, 5), (3, 4, 1, 2)]


def expected(student, teacher, inter, intra, tau):
    """np.corrcoef of every row and every column of the (pixels, classes) tables."""
    c = student.shape[1]
    s, t = (softmax(x.numpy().transpose(0, 2, 3, 1).reshape(-1, c) / tau, 1) for x in (student, teacher))
    rows = np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(s, t)])
    columns = np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(s.T, t.T)])
    return tau**2 * (inter * (1 - rows) + intra * (1 - columns))


@pytest.mark.parametrize('arguments', [(1.0, 1.0, 1.0), (2.0, 0.0, 4.0), (0.0, 0.5, 2.0)])
@pytest.mark.parametrize('shape', SHAPES)
def test_equals_the_formula(shape, arguments):
    student, teacher = maps(*shape, scale=2.0)
    assert_value(DISTLoss(*arguments), expected(student, teacher, *arguments), student, teacher)


def test_two_pixels_by_hand():
    # Student and teacher prefer opposite classes at each of two pixels: every correlation is -1.
    student = torch.tensor([[3.0, 0.0], [0.0, 3.0]]).reshape(1, 2, 1, 2)
    assert DISTLoss()(student, -2 * student).item() == pytest.approx(4.0)
    assert DISTLoss(inter=3.0, intra=0.0)(student, -student).item() == pytest.approx(6.0)


@pytest.mark.parametrize('arguments', [(1.0, 0.0), (0.0, 1.0), (1.0, 1.0, 4.0)])
def test_gradient(arguments):
    assert_gradient(DISTLoss(*arguments), *maps(2, 4, 2, 3))


def test_pixels_are_related_across_the_batch():
    """Correlating over the batch axis instead, as mmrazor does, would give a constant here."""
    student, teacher = maps(1, 4, 5, 5)
    assert gradient(DISTLoss(inter=0.0), student, teacher).abs().max() > 1e-4
    both, shuffled = maps(4, 3, 2, 2), torch.randperm(16)
    moved = [x.transpose(0, 1).reshape(3, 16)[:, shuffled].reshape(1, 3, 4, 4) for x in both]
    torch.testing.assert_close(DISTLoss()(*moved), DISTLoss()(*both))


def test_a_constant_per_pixel_changes_nothing():
    student, teacher = maps(2, 5, 3, 4)
    shifted = student + torch.randn(2, 1, 3, 4, dtype=torch.float64)
    torch.testing.assert_close(DISTLoss()(shifted, teacher), DISTLoss()(student, teacher))


@pytest.mark.parametrize('other', [0.0, 5.0])
def test_constant_maps_have_correlation_zero_and_no_gradient(other):
    student, teacher = torch.full((2, 4, 3, 3), other), torch.randn(2, 4, 3, 3)
    assert DISTLoss()(student, teacher).item() == pytest.approx(2.0)
    assert (gradient(DISTLoss(), student, teacher) == 0).all()
    assert DISTLoss()(teacher, student).item() == pytest.approx(2.0)


def test_a_single_pixel_is_finite():
    student, teacher = maps(1, 4, 1, 1)
    assert DISTLoss(inter=0.0)(student, teacher) == 1
    assert gradient(DISTLoss(), student, teacher).isfinite().all()


def test_a_rare_class_weighs_as_much_as_the_others():
    """With 1e-8 added to the product of the lengths, as published, its correlation would all but vanish."""
    student, _ = (x.float() for x in maps(2, 3, 4, 4))
    student[:, 0] -= 14
    probability = student.double().softmax(1)[:, 0]
    assert (probability - probability.mean()).norm() ** 2 < 1e-8
    assert DISTLoss()(student, student).item() == pytest.approx(0, abs=1e-6)


def test_huge_logits_stay_finite():
    student, teacher = (1e4 * x.float() for x in maps(1, 4, 3, 3))
    assert DISTLoss()(student, teacher).isfinite()
    assert gradient(DISTLoss(), student, teacher).isfinite().all()


def test_autograd_keeps_one_map():
    student, teacher = maps(2, 64, 32, 32)
    assert kept_floats(DISTLoss(), student, teacher) <= student.numel()


@pytest.mark.parametrize(
    'arguments, message',
    [
        (dict(temperature=0.0), 'temperature must be > 0, but is 0.0'),
        (dict(inter=-1.0), 'inter and intra must be >= 0, but are -1.0 and 1.0'),
    ],
)
def test_arguments_are_checked(arguments, message):
    with pytest.raises(ValueError, match=f'DISTLoss: {message}'):
        DISTLoss(**arguments)


def test_without_the_relation_of_classes_two_of_them_are_no_reason_to_warn(monkeypatch):
    said = []
    monkeypatch.setattr('mmseg_kd.losses.dist_loss.print_log', lambda text, *args: said.append(text))
    two, three = torch.zeros(1, 2, 2, 2), torch.zeros(1, 3, 2, 2)
    DISTLoss(inter=0.0).setup(two, two)
    DISTLoss(intra=0.0).setup(three, three)
    assert not said
    DISTLoss().setup(two, two)
    assert len(said) == 1 and 'set inter=0' in said[0]
    with pytest.raises(ValueError, match='set intra > 0'):
        DISTLoss(intra=0.0).setup(two, two)
