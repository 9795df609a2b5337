import numpy as np
import pytest
import torch
from reference import assert_gradient, maps

from mmseg_kd.losses import AfDCDLoss

SMALL = dict(groups=3, patch=2, pool=2, temperature=0.7)


def built(channels, **settings):
    torch.manual_seed(0)
    loss = AfDCDLoss(**{**SMALL, **settings}).eval()
    loss.setup(*maps(1, channels, 2, 2))
    return loss


def pooled(x, pool):
    return np.array(
        [
            [x[:, i : i + pool, j : j + pool].max((1, 2)) for j in range(0, x.shape[2], pool)]
            for i in range(0, x.shape[1], pool)
        ]
    )


def contrast(rebuilt, teacher, groups, patch, pool, temperature):
    """Anchor by anchor, with the negatives gathered one by one."""
    total, places = 0.0, 0
    for r, t in zip(rebuilt.numpy(), teacher.numpy()):
        r, t = (pooled(x, pool).reshape(-(-x.shape[1] // pool), -(-x.shape[2] // pool), groups, -1) for x in (r, t))
        places += r.shape[0] * r.shape[1]
        for i, j, m in np.ndindex(r.shape[:3]):
            similar = [-abs(r[i, j, m] - t[i, j, m]).sum() / temperature]
            for k, n, o in np.ndindex(t.shape[:3]):
                if (k // patch, n // patch) == (i // patch, j // patch) and o != m:
                    similar.append(-abs(r[i, j, m] - t[k, n, o]).sum() / temperature)
            total += np.log(np.exp(np.array(similar) - similar[0]).sum())
    return total / places


@pytest.mark.parametrize(
    'shape, settings',
    [
        ((2, 6, 8, 12), SMALL),
        ((1, 6, 7, 9), SMALL),
        ((1, 3, 1, 1), SMALL),
        ((2, 8, 5, 6), dict(groups=4, patch=4, pool=1, temperature=2.0)),
        ((1, 32, 17, 19), dict(groups=16, patch=4, pool=4, temperature=0.07)),
    ],
)
def test_the_contrast_equals_the_formula(shape, settings):
    rebuilt, teacher = maps(*shape)
    expected = contrast(rebuilt, teacher, **settings)
    loss = AfDCDLoss(**settings)
    np.testing.assert_allclose(loss.contrast(rebuilt, teacher).item(), expected, rtol=1e-9)
    np.testing.assert_allclose(loss.contrast(rebuilt.float(), teacher.float()).item(), expected, rtol=1e-5)


def convolve(x, layer):
    """3 x 3 convolution with zero padding of one map (C, H, W)."""
    weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
    x = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    return np.array(
        [
            [np.einsum('ocij,cij->o', weight, x[:, i : i + 3, j : j + 3]) + bias for j in range(x.shape[2] - 2)]
            for i in range(x.shape[1] - 2)
        ]
    ).transpose(2, 0, 1)


def test_the_whole_equals_the_formula():
    student, teacher = maps(2, 6, 7, 5)
    loss = built(6, reconstruction=0.3, contrast=1.7).double()
    first, _, last = loss.generator
    rebuilt = np.array([convolve(np.maximum(convolve(s, first), 0), last) for s in student.numpy()])
    expected = 0.3 * ((rebuilt - teacher.numpy()) ** 2).sum() / 2
    expected += 1.7 * contrast(torch.from_numpy(rebuilt), teacher, **SMALL)
    np.testing.assert_allclose(loss(student, teacher).item(), expected, rtol=1e-9)
    np.testing.assert_allclose(loss.float()(student.float(), teacher.float()).item(), expected, rtol=1e-5)


def test_published_weights_are_the_defaults():
    student, teacher = maps(1, 16, 5, 6)
    loss = AfDCDLoss().eval()
    loss.setup(student, teacher)
    loss.double()
    rebuilt = loss.generator(student)
    expected = 2e-6 * (rebuilt - teacher).square().sum() + 0.005 * contrast(rebuilt.detach(), teacher, 16, 4, 4, 0.07)
    torch.testing.assert_close(loss(student, teacher), expected)


def test_gradient():
    assert_gradient(built(3).double(), *maps(2, 3, 3, 5))
    rebuilt, teacher = maps(2, 6, 3, 5)
    assert torch.autograd.gradcheck(lambda x: AfDCDLoss(**SMALL).contrast(x, teacher), rebuilt.requires_grad_())


def test_chunks_change_nothing():
    rebuilt, teacher = maps(3, 6, 12, 9)
    loss = AfDCDLoss(**SMALL)
    whole = loss.contrast(rebuilt, teacher)
    loss.chunk = 1
    torch.testing.assert_close(loss.contrast(rebuilt, teacher), whole, rtol=1e-12, atol=0)


def test_one_group_has_no_negatives():
    assert AfDCDLoss(groups=1).contrast(*maps(2, 6, 8, 8)).item() == 0


def test_patches_may_change_places():
    rebuilt, teacher = maps(1, 6, 4, 8)
    moved = (x.roll(4, 3) for x in (rebuilt, teacher))
    torch.testing.assert_close(AfDCDLoss(**SMALL).contrast(*moved), AfDCDLoss(**SMALL).contrast(rebuilt, teacher))


def test_three_quarters_are_masked_in_training_all_channels_alike():
    seen = []
    loss = AfDCDLoss().train()
    loss.setup(*maps(1, 16, 2, 2))
    loss.generator.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    student, teacher = (x.float() for x in maps(4, 16, 40, 40))
    loss(student, teacher)
    kept = seen[0] != 0
    assert (kept == kept[:, :1]).all() and torch.equal(seen[0][kept], student[kept])
    assert kept.float().mean().item() == pytest.approx(0.25, abs=0.02)
    assert not torch.equal(kept[0], kept[1])


def test_the_generator_trains_with_the_student():
    loss = built(6).train()
    assert sum(p.numel() for p in loss.parameters()) == 2 * (6 * 6 * 9 + 6)
    loss(*(x.float() for x in maps(2, 6, 8, 8))).backward()
    assert all(p.grad.isfinite().all() and p.grad.abs().sum() > 0 for p in loss.parameters())


@pytest.mark.parametrize(
    'settings', [dict(groups=0), dict(patch=0), dict(pool=0), dict(masked=1.0), dict(temperature=0.0)]
)
def test_settings_must_make_sense(settings):
    with pytest.raises(ValueError, match='AfDCDLoss: groups, patch, pool must be >= 1'):
        AfDCDLoss(**settings)


def test_channels_must_be_a_multiple_of_the_groups():
    with pytest.raises(ValueError, match='multiple of groups = 16, but got 6; set groups'):
        AfDCDLoss()(*maps(1, 6, 8, 8))
