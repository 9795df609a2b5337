import numpy as np
import pytest
import torch
from reference import maps
from test_edges import mean_over_cells

from mmseg_kd.losses import PairWiseKDLoss, SALCContextLoss
from mmseg_kd.testing.toys import toy_runner, toy_segmentor


def stages(n=2, sizes=((9, 12), (5, 6), (3, 4)), channels=(2, 5, 9)):
    return tuple(maps(n, c, *size, seed=i)[0] for i, (c, size) in enumerate(zip(channels, sizes)))


def cosines(image, size):
    x = np.array([mean_over_cells(c, *size) for c in image]).reshape(len(image), -1)
    x = x / np.linalg.norm(x, axis=0)
    return np.array([[a @ b for a in x.T] for b in x.T])


@pytest.mark.parametrize('side, size', [(16, (3, 4)), (2, (2, 2)), (1, (1, 1))])
@pytest.mark.parametrize('n', [1, 2])
def test_equals_the_formula(n, side, size):
    student = stages(n)
    found = [[cosines(image, size) for image in x.numpy()] for x in student]
    expected = np.mean([np.mean((np.array(a) - np.array(b)) ** 2) for a, b in zip(found, found[1:])])
    np.testing.assert_allclose(SALCContextLoss(side)(student, ()).item(), expected, rtol=1e-9, atol=1e-12)
    single = SALCContextLoss(side)(tuple(x.float() for x in student), ())
    assert single.item() == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_two_stages_of_one_size_are_compared_pair_wise():
    shallow, deep = maps(2, 4, 5, 6, channels=7)
    torch.testing.assert_close(SALCContextLoss()((shallow, deep), ()), PairWiseKDLoss(1)(shallow, deep))


def test_the_deepest_stage_gets_no_gradient():
    student = [x.requires_grad_() for x in stages()]
    SALCContextLoss()(tuple(student), ()).backward()
    assert all(x.grad.abs().sum() > 0 for x in student[:2]) and student[2].grad is None


def test_gradient():
    shallow, deep = maps(2, 3, 4, 5, channels=2)
    assert torch.autograd.gradcheck(lambda x: SALCContextLoss()((x, deep), ()), shallow.requires_grad_())


def test_it_is_zero_where_the_stages_agree():
    shallow, _ = maps(2, 4, 5, 6)
    assert SALCContextLoss()((shallow, 3 * shallow, 2 * shallow), ()).item() == pytest.approx(0, abs=1e-12)


def test_it_takes_maps_of_the_student_only():
    student = stages()
    for wrong in ((student[0], ()), (student[:1], ()), (student, student), (student, student[0])):
        with pytest.raises(ValueError, match=r'two or more maps of the student and none .* teacher=\[\]'):
            SALCContextLoss()(*wrong)
    with pytest.raises(ValueError, match='needs maps of one batch'):
        SALCContextLoss()((student[0], student[1][:1]), ())


def test_side_must_be_positive():
    with pytest.raises(ValueError, match='SALCContextLoss: side must be >= 1'):
        SALCContextLoss(0)


def test_a_term_without_a_teacher_trains(tmp_path):
    term = dict(student=['backbone[1]', 'backbone[2]', 'backbone[3]'], teacher=[], loss=dict(type='SALCContextLoss'))
    runner = toy_runner(
        dict(
            type='Distiller',
            student=toy_segmentor(4),
            teacher=dict(model=toy_segmentor(8)),
            terms=dict(loss_context=term),
        ),
        tmp_path,
        max_iters=1,
    )
    runner.train()
    assert runner.message_hub.get_scalar('train/loss_context').current() > 0
