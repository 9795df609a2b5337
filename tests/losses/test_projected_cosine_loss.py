import numpy as np
import pytest
import torch
from reference import assert_gradient, maps

from mmseg_kd.distillers.term import Term
from mmseg_kd.losses import CosineFeatureLoss, ProjectedCosineLoss


def built(student, teacher):
    loss = ProjectedCosineLoss()
    loss.setup(student, teacher)
    return loss.double()


def levels(*sizes):
    return zip(
        *(maps(2, channels, h, w, seed=seed, channels=wide) for seed, (channels, wide, h, w) in enumerate(sizes))
    )


def expected(loss, students, teachers):
    values = []
    for conv, student, teacher in zip(loss.projections, students, teachers):
        weight = conv.weight.detach().numpy()[..., 0, 0]
        s = student.detach().numpy()
        t = np.einsum('oc,nchw->nohw', weight, teacher.numpy())
        cosine = (s * t).sum(1) / np.sqrt((s**2).sum(1) * (t**2).sum(1))
        values.append((1 - cosine).mean())
    return np.mean(values)


def test_equals_the_formula_on_several_levels():
    students, teachers = levels((3, 5, 4, 6), (7, 4, 2, 3))
    loss = built(students, teachers)
    assert loss(students, teachers).item() == pytest.approx(expected(loss, students, teachers), rel=1e-9)


def test_one_map_is_a_level():
    student, teacher = maps(2, 3, 4, 5, channels=6)
    loss = built(student, teacher)
    assert loss(student, teacher).item() == pytest.approx(expected(loss, [student], [teacher]), rel=1e-9)


def test_projections_bring_the_teacher_to_the_channels_of_the_student():
    loss = built(*levels((3, 5, 4, 6), (7, 4, 2, 3)))
    assert [conv.weight.shape[:2] for conv in loss.projections] == [(3, 5), (7, 4)]


def test_projections_learn_and_the_teacher_does_not():
    student, teacher = maps(2, 3, 4, 5, channels=6)
    loss = built(student, teacher)
    loss(student, teacher.requires_grad_()).backward()
    assert loss.projections[0].weight.grad.abs().sum() > 0 and teacher.grad is None


def test_gradient():
    student, teacher = maps(2, 3, 2, 3, channels=5)
    assert_gradient(built(student, teacher), student, teacher)


def test_a_projection_that_does_nothing_leaves_the_cosine_loss():
    student, teacher = maps(2, 4, 3, 3)
    loss = built(student, teacher)
    torch.nn.init.eye_(loss.projections[0].weight.data[..., 0, 0])
    torch.testing.assert_close(loss(student, teacher), CosineFeatureLoss()(student, teacher))


def test_projections_must_exist_and_fit():
    student, teacher = maps(2, 3, 4, 5, channels=6)
    with pytest.raises(ValueError, match=r'has no projections yet, but the levels have \[\(3, 6\)\] channels'):
        ProjectedCosineLoss()(student, teacher)
    with pytest.raises(ValueError, match=r'was set up for \[\(3, 6\)\] channels, but the levels have \[\(3, 5\)\]'):
        built(student, teacher)(student, teacher[:, :5])


def test_a_term_resizes_the_teacher_and_adds_no_adapter():
    (student,), (teacher,) = levels((3, 6, 4, 6))
    wide = torch.nn.functional.interpolate(teacher, scale_factor=2)
    term = Term('loss_feature', ['a'], ['b'], dict(type='ProjectedCosineLoss'), weight=0.3)
    term.fit(dict(a=student), dict(b=wide), classes=4)
    assert all(isinstance(adapter, torch.nn.Identity) for adapter in term.adapters)
    term.double()
    resized = torch.nn.functional.interpolate(wide, size=(4, 6), mode='bilinear')
    value = term(dict(a=student), dict(b=wide), None)['loss_feature']
    assert value.item() == pytest.approx(0.3 * expected(term.loss, [student], [resized]))
