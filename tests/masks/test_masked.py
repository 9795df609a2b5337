"""What masks do to a loss; which pixels each mask takes is in the tests of their own names."""

import pytest
import torch
from reference import assert_gradient, gradient, labels, maps

from mmseg_kd.losses import CWDLoss, HintLoss, IFVDLoss, PixelWiseKDLoss
from mmseg_kd.masks import OnClasses, OnLabeled

PI, HINT, IFV = (dict(type=name) for name in ('PixelWiseKDLoss', 'HintLoss', 'IFVDLoss'))


def test_a_mean_over_pixels_becomes_that_of_the_pixels_that_count():
    student, teacher = maps(2, 5, 6, 7)
    y = labels(2, 6, 7)
    rows = [x.permute(0, 2, 3, 1)[y != 255].T[None, :, :, None] for x in (student, teacher)]
    for config, loss in [(PI, PixelWiseKDLoss()), (HINT, HintLoss())]:
        torch.testing.assert_close(OnLabeled(config)(student, teacher, y), loss(*rows))


def test_a_loss_with_labels_takes_the_others_for_void():
    student, teacher = maps(2, 5, 6, 7)
    y = labels(2, 6, 7)
    kept = torch.where((y == 1) | (y == 3), y, 255)
    assert torch.equal(OnClasses([1, 3], IFV)(student, teacher, y), IFVDLoss()(student, teacher, kept))


def test_a_loss_of_regions_sees_the_teacher_around_what_counts():
    student, teacher = maps(2, 5, 6, 7)
    y = labels(2, 6, 7)
    counted = (y == 2)[:, None]
    expected = CWDLoss()(torch.where(counted, student, teacher), teacher) / counted.double().mean()
    torch.testing.assert_close(OnClasses([2], dict(type='CWDLoss'))(student, teacher, y), expected)


def test_several_maps_are_masked_at_their_own_sizes():
    (s1, t1), (s2, t2) = maps(2, 3, 6, 8), maps(2, 4, 3, 4, seed=1)
    y = labels(2, 12, 16)
    loss = OnLabeled(dict(type='CosineFeatureLoss'))
    masks = [y[:, ::2, ::2] != 255, y[:, ::4, ::4] != 255]
    mixed = [torch.where(m[:, None], s, t) for m, s, t in zip(masks, (s1, s2), (t1, t2))]
    expected = loss.loss(tuple(mixed), (t1, t2)) / masks[0].double().mean()
    torch.testing.assert_close(loss((s1, s2), (t1, t2), y), expected)


@pytest.mark.parametrize(
    'config', [PI, HINT, IFV, dict(type='CWDLoss'), dict(type='BPKDLoss')], ids=lambda c: c['type']
)
def test_parts_of_a_batch_weigh_by_what_was_selected(config):
    student, teacher = maps(4, 5, 6, 7)
    y = labels(4, 6, 7)
    y[0] = 0  # nothing of the first image is selected
    loss = OnClasses([1, 3], config)
    parts = [
        (loss(*part), loss.denominator(*part)) for part in zip(*(x.split([1, 2, 1]) for x in (student, teacher, y)))
    ]
    joined = sum(value * number for value, number in parts) / sum(number for _, number in parts)
    torch.testing.assert_close(joined, loss(student, teacher, y), rtol=1e-6, atol=0)
    selected = {'IFVDLoss': ((y == 1) | (y == 3)).sum(), 'BPKDLoss': 4}
    number = selected.get(config['type'], ((y == 1) | (y == 3)).double().mean() * 4)
    assert sum(number for _, number in parts).item() == pytest.approx(float(number), rel=1e-6)


def test_what_does_not_count_gets_no_gradient_and_nothing_gives_zero():
    student, teacher = maps(2, 5, 6, 7)
    y = labels(2, 6, 7)
    grad = gradient(OnClasses([2], PI), student, teacher, y)
    assert ((grad.abs().sum(1) > 0) == (y == 2)).all()
    for config in (PI, IFV):
        loss = OnClasses([4], config)
        assert loss(student, teacher, torch.zeros_like(y)).item() == 0
        assert (gradient(loss, student, teacher, torch.zeros_like(y)) == 0).all()


def test_gradient():
    assert_gradient(OnClasses([0, 2], PI), *maps(2, 3, 3, 4), labels(2, 3, 4, classes=3))


def test_masks_can_be_nested():
    student, teacher = maps(2, 5, 6, 7)
    y = labels(2, 6, 7)
    nested = OnClasses([1, 2], dict(type='OnClasses', only=[2, 3], loss=PI))
    torch.testing.assert_close(nested(student, teacher, y), OnClasses([2], PI)(student, teacher, y))


def test_channels_need_to_be_equal_only_where_maps_are_mixed():
    student, teacher = maps(2, 5, 6, 7, channels=8)
    assert OnLabeled(IFV)(student, teacher, labels(2, 6, 7)).isfinite()
    assert OnLabeled(dict(type='PairWiseKDLoss')).needs_equal_channels
    with pytest.raises(ValueError, match='OnLabeled needs equal shapes'):
        OnLabeled(dict(type='PairWiseKDLoss'))(student, teacher, labels(2, 6, 7))


def test_what_the_loss_learns_is_built_for_it():
    loss = OnLabeled(dict(type='AttnFDLoss'))
    loss.classes = 7
    loss.setup(*maps(2, 5, 6, 7))
    assert len(list(loss.parameters())) > 0 and loss.loss.classes == 7


def test_a_critic_judges_whole_maps():
    with pytest.raises(ValueError, match='OnLabeled: the auxiliary module of HolisticKDLoss reads whole maps'):
        OnLabeled(dict(type='HolisticKDLoss'))
