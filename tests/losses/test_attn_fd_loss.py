import numpy as np
import pytest
import torch
from reference import assert_gradient, gradient, maps
from test_cbam import cbam

from mmseg_kd.losses import AttnFDLoss


def built(student, teacher):
    torch.manual_seed(0)
    loss = AttnFDLoss()
    loss.setup(student, teacher)
    return loss.double().eval()


def expected(student, teacher, refine):
    attention, connector, norm = refine
    refined = np.array([cbam(image, attention) for image in student.numpy()])
    refined = np.einsum('oc,nchw->nohw', connector.weight.detach().numpy()[:, :, 0, 0], refined)
    refined = refined / np.sqrt(1 + norm.eps)  # running statistics 0 and 1
    teacher = teacher.numpy()
    return ((refined / np.linalg.norm(refined) - teacher / np.linalg.norm(teacher)) ** 2).sum()


@pytest.mark.parametrize('shape', [(2, 19, 5, 8), (1, 4, 3, 5), (3, 4, 1, 1)])
def test_equals_the_formula(shape):
    student, teacher = maps(*shape, channels=7)
    loss = built(student, teacher)
    value = expected(student, teacher, loss.refiners[0])
    np.testing.assert_allclose(loss(student, teacher).item(), value, rtol=1e-9)
    np.testing.assert_allclose(loss.float()(student.float(), teacher.float()).item(), value, rtol=1e-5)


def test_levels_are_summed():
    maps_a, maps_b = maps(2, 6, 5, 4, channels=7), maps(2, 3, 2, 3, channels=5, seed=1)
    student, teacher = zip(maps_a, maps_b)
    loss = built(student, teacher)
    each = [expected(s, t, refine) for s, t, refine in zip(student, teacher, loss.refiners)]
    np.testing.assert_allclose(loss(student, teacher).item(), sum(each), rtol=1e-9)


def test_gradient():
    student, teacher = maps(2, 3, 3, 4, channels=5)
    assert_gradient(built(student, teacher), student, teacher)


def test_it_is_zero_where_the_refined_student_is_a_multiple_of_the_teacher_and_four_where_opposite():
    student, _ = maps(2, 6, 5, 4, channels=7)
    loss = built(student, torch.zeros(2, 7, 5, 4))
    refined = loss.refiners[0](student).detach()
    assert loss(student, 3 * refined).item() == pytest.approx(0, abs=1e-12)
    assert loss(student, -3 * refined).item() == pytest.approx(4)


def test_zeros_stay_finite():
    student, teacher = maps(2, 6, 5, 4)
    zero = torch.zeros_like(student)
    assert gradient(built(student, teacher), zero, teacher).isfinite().all()
    assert built(student, teacher)(student, zero).item() == pytest.approx(1)


def test_all_of_the_refiner_trains_with_the_student():
    student, teacher = maps(2, 96, 5, 4, channels=7)
    loss = built(student, teacher).train()
    loss(student, teacher).backward()
    parameters = dict(loss.named_parameters())
    assert len(parameters) == 4 + 1 + 2 + 1 + 2
    assert all(p.grad.isfinite().all() and p.grad.abs().sum() > 0 for p in parameters.values())


def test_the_weight_means_the_same_at_every_batch_size():
    """The published code divides this loss and its cross-entropy, a mean over pixels, by N; here neither is."""
    student, teacher = maps(2, 6, 5, 4, channels=7)
    loss = built(student, teacher)
    twice = loss(*(x.repeat(2, 1, 1, 1) for x in (student, teacher)))
    torch.testing.assert_close(twice, loss(student, teacher))


def test_it_wants_the_maps_of_its_setup():
    student, teacher = maps(2, 6, 5, 4)
    with pytest.raises(ValueError, match=r'set up for 0 maps, but got 1; call setup'):
        AttnFDLoss()(student, teacher)
