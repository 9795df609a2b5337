import math

import numpy as np
import pytest
import torch
from reference import gradient, kept_floats, maps, softmax

import mmseg_kd.losses.cirkd_channel_loss as module
from mmseg_kd.losses import CIRKDChannelLoss

SHAPES = [(1, 2, 7, 9), (2, 6, 5, 8), (1, 12, 3, 5), (3, 4, 9, 1)]
SMALL = dict(size=30, contrast=11, pushed=5)


def ready(student, teacher, **arguments):
    torch.manual_seed(0)
    loss = CIRKDChannelLoss(**{**SMALL, **arguments})
    loss.setup(student, teacher)
    return loss.to(student.dtype)


def pooled(x):
    n, c, h, w = x.shape
    cells = [
        x[:, :, 4 * i : 4 * i + 4, 4 * j : 4 * j + 4].mean((2, 3))
        for i in range(math.ceil(h / 4))
        for j in range(math.ceil(w / 4))
    ]
    return torch.stack(cells, dim=2).reshape(n, c, math.ceil(h / 4), math.ceil(w / 4))


def channels(x):
    """Unit vectors over positions, one per channel, image by image."""
    return [[row.ravel() / max(np.linalg.norm(row), 1e-8) for row in sample] for sample in x.detach().numpy()]


def kl(p, q):
    return (p * np.log(p / q)).sum()


def expected(projection, teacher, keys, tau, memory_weight, mse_weight):
    s, t, keys = channels(projection), channels(pooled(teacher)), keys.numpy()
    n, c, total = len(s), len(s[0]), 0.0
    for i in range(n):
        for k in range(c):
            for j in range(n):
                p, q = (softmax(np.stack(x[j]) @ x[i][k] / tau, 0) for x in (t, s))
                total += kl(p, q) / (n**2 * c)
            total += memory_weight * kl(*(softmax(keys @ x[i][k] / tau, 0) for x in (t, s))) / (n * c)
            total += mse_weight * ((s[i][k] - t[i][k]) ** 2).mean() / (n * c)
    return total


def keys_of_next_call(loss):
    torch.manual_seed(1)
    return loss.memory.sample(loss.contrast)


@pytest.mark.parametrize('dtype, tolerance', [(torch.float64, 1e-9), (torch.float32, 1e-5)])
@pytest.mark.parametrize('arguments', [(0.1, 0.1, 100.0), (0.5, 0.0, 0.0), (0.3, 4.0, 0.0)])
@pytest.mark.parametrize('shape', SHAPES)
def test_equals_the_formula(shape, arguments, dtype, tolerance):
    student, teacher = maps(*shape, channels=7)
    loss = ready(student, teacher, **dict(zip(('temperature', 'memory_weight', 'mse_weight'), arguments)))
    loss.eval()
    value = expected(loss.head(pooled(student)), teacher, keys_of_next_call(loss), *arguments)
    loss.to(dtype)
    torch.manual_seed(1)
    assert loss(student.to(dtype), teacher.to(dtype)).item() == pytest.approx(value, rel=tolerance, abs=1e-6)


def test_two_channels_by_hand():
    # Two cells. The student's channels are orthogonal, (e, 1) / (e + 1), the teacher's are equal, (1/2, 1/2).
    student = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).repeat_interleave(4, dim=1).reshape(1, 2, 1, 8)
    teacher = torch.tensor([[1.0, 0.0], [1.0, 0.0]]).repeat_interleave(4, dim=1).reshape(1, 2, 1, 8)
    loss = ready(student, teacher, temperature=1.0, memory_weight=0.0, mse_weight=1.0)
    loss.head.forward = lambda x: x
    # Second channels (0, 1) and (1, 0) differ by a square of 2, over four numbers.
    value = np.log((np.e + 1) / 2) - 0.5 + 2 / 4
    assert loss(student, teacher).item() == pytest.approx(value, rel=1e-5)


def test_equal_channels_have_no_loss_at_any_scale():
    student, teacher = maps(2, 3, 9, 6)
    loss = ready(student, teacher)
    loss.head.forward = lambda x: x
    scale = torch.tensor([0.1, 7.0, 1.0], dtype=torch.float64).reshape(1, 3, 1, 1)
    assert loss(scale * teacher, teacher).item() == pytest.approx(0, abs=1e-12)
    assert loss(student, teacher) > 0.1


def test_the_places_of_pixels_in_a_cell_do_not_matter():
    student, teacher = maps(2, 3, 8, 8)
    loss = ready(student, teacher).eval()
    values = []
    for maps_ in ((student, teacher), [x.flip(2).roll(4, dims=2) for x in (student, teacher)]):
        torch.manual_seed(1)
        values.append(loss(*maps_))
    torch.testing.assert_close(*values)


def test_gradient():
    student, teacher = maps(2, 2, 5, 6, channels=3)
    loss = ready(student, teacher).eval()

    def value(s):
        torch.manual_seed(1)
        return loss(s, teacher)

    assert torch.autograd.gradcheck(value, student.requires_grad_())


def test_gradient_reaches_head_and_student_but_not_the_teacher():
    student, teacher = (x.requires_grad_() for x in maps(2, 3, 8, 9, channels=4))
    loss = ready(student, teacher)
    loss(student, teacher).backward()
    assert teacher.grad is None and student.grad.abs().sum() > 0
    assert all(p.grad.abs().sum() > 0 for p in loss.parameters())


@pytest.mark.parametrize('shape, cells', [((65, 65), 17 * 17), (((8, 12)), 6), ((1, 5), 2)])
def test_any_size_can_be_set_up(shape, cells):
    student, teacher = maps(1, 2, *shape)
    loss = ready(student, teacher)
    assert loss.memory.rows.shape == (31, cells) and loss(student, teacher).isfinite()


@pytest.mark.parametrize('world, pushed', [(1, 5), (2, 3), (4, 2)])
def test_random_channels_of_the_teacher_are_remembered(monkeypatch, world, pushed):
    """Of several processes, each gives its share."""
    monkeypatch.setattr(module, 'get_world_size', lambda: world)
    student, teacher = maps(2, 3, 9, 6, channels=6)
    loss, known = ready(student, teacher), np.concatenate(channels(pooled(teacher)))
    loss(student, teacher)
    assert loss.memory.filled.tolist() == loss.memory.pointers.tolist() == [pushed]
    places = [np.abs(known - row).max(1).argmin() for row in loss.memory.rows[:pushed].numpy()]
    np.testing.assert_allclose(loss.memory.rows[:pushed].numpy(), known[places], rtol=1e-9)
    assert len(set(places)) == pushed


def test_the_memory_is_written_round_and_left_in_evaluation():
    student, teacher = maps(2, 3, 9, 6, channels=6)
    loss = ready(student, teacher, size=7)
    for _ in range(2):
        loss(student, teacher)
    assert loss.memory.filled.tolist() == [7] and loss.memory.pointers.tolist() == [3]
    before = loss.memory.rows.clone()
    loss.eval()(student, teacher)
    assert torch.equal(loss.memory.rows, before)


def test_a_state_dict_brings_all_back():
    student, teacher = maps(2, 3, 9, 6, channels=6)
    loss, other = ready(student, teacher), ready(student, teacher)
    for _ in range(2):
        loss(student, teacher)
    other.load_state_dict(loss.state_dict())
    grads = [gradient(lambda *maps: torch.manual_seed(2) and one(*maps), student, teacher) for one in (loss, other)]
    assert torch.equal(*grads) and torch.equal(loss.memory.rows, other.memory.rows)


def test_no_map_of_channels_is_kept():
    student, teacher = (x.float() for x in maps(2, 300, 4, 8, channels=300))
    loss = ready(student, teacher, contrast=2000, size=2000)
    assert kept_floats(loss, student, teacher) - sum(p.numel() for p in loss.parameters()) < 600**2 / 10


def test_no_value_is_read_from_the_device():
    student, teacher = (x.float().to('meta') for x in maps(2, 3, 6, 7, channels=4))
    loss = ready(student, teacher).to('meta')
    assert loss.compute(student.requires_grad_(), teacher).is_meta


def test_it_must_be_set_up_for_these_maps():
    student, teacher = maps(2, 3, 8, 8)
    with pytest.raises(ValueError, match='CIRKDChannelLoss has no projection head yet: call setup'):
        CIRKDChannelLoss()(student, teacher)
    loss = ready(student, teacher)
    with pytest.raises(ValueError, match='set up for 3 channels of the student and 3 of the teacher, but got 3 and 2'):
        loss(student, teacher[:, 1:])
    with pytest.raises(ValueError, match=r'set up for maps of 4 cells .* but got 6, of \(8, 9\) pixels; set data_prep'):
        loss(*maps(2, 3, 8, 9))


@pytest.mark.parametrize('wrong', [dict(temperature=0.0), dict(contrast=0), dict(mse_weight=-1.0)])
def test_arguments_are_checked(wrong):
    with pytest.raises(
        ValueError, match=r'CIRKDChannelLoss: (temperature must be >= 0.003|size, contrast and pushed must be > 0)'
    ):
        CIRKDChannelLoss(**wrong)
