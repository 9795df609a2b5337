import pytest
import torch
from reference import labels, maps

from mmseg_kd.distillers import Term
from mmseg_kd.losses import HintLoss, IFVDLoss, PixelWiseKDLoss
from mmseg_kd.masks import OnConfident

PI, HINT = dict(type='PixelWiseKDLoss'), dict(type='HintLoss')


def sure(logits, threshold):
    return [
        [[max(p) >= threshold for p in row] for row in image]
        for image in logits.softmax(1).permute(0, 2, 3, 1).tolist()
    ]


def test_the_pixels_of_a_sure_teacher_count():
    student, teacher = maps(2, 5, 6, 7)
    loss = OnConfident(0.5, PI)
    assert loss.counted(student, teacher, None).tolist() == sure(teacher, 0.5)
    kept = torch.tensor(sure(teacher, 0.5))
    rows = [x.permute(0, 2, 3, 1)[kept].T[None, :, :, None] for x in (student, teacher)]
    assert 0 < kept.sum() < kept.numel()
    torch.testing.assert_close(loss(student, teacher), PixelWiseKDLoss()(*rows))


def test_features_are_compared_where_the_logits_behind_them_are_sure():
    student, teacher = maps(2, 5, 6, 7)
    logits = maps(2, 3, 6, 7, seed=1)[0]
    kept = torch.tensor(sure(logits, 0.6))
    rows = [x.permute(0, 2, 3, 1)[kept].T[None, :, :, None] for x in (student, teacher)]
    torch.testing.assert_close(OnConfident(0.6, HINT)(student, (teacher, logits)), HintLoss()(*rows))
    both = OnConfident(0.6, dict(type='CosineFeatureLoss'))
    pair = both((student, student), (teacher, teacher, logits))
    torch.testing.assert_close(pair, both(student, (teacher, logits)))


def test_logits_of_another_size_are_sampled():
    student, teacher = maps(2, 5, 6, 8)
    logits = maps(2, 3, 3, 4, seed=1)[0]
    large = logits.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    loss = OnConfident(0.6, HINT)
    assert torch.equal(loss(student, (teacher, logits)), loss(student, (teacher, large)))


def test_labels_are_wanted_if_the_loss_wants_them():
    student, teacher = maps(2, 5, 6, 7)
    y = labels(2, 6, 7)
    loss = OnConfident(0.5, dict(type='IFVDLoss'))
    assert loss.needs_labels and not OnConfident(0.5, PI).needs_labels
    kept = torch.where(torch.tensor(sure(teacher, 0.5)), y, 255)
    assert torch.equal(loss(student, teacher, y), IFVDLoss()(student, teacher, kept))


def test_a_term_names_the_logits_behind_the_features():
    loss = dict(type='OnConfident', threshold=0.6, loss=HINT)
    term = Term('loss_hint', 'f', ['f', 'logits'], loss)
    student = dict(f=torch.randn(2, 3, 4, 4))
    teacher = dict(f=torch.randn(2, 5, 8, 8), logits=3 * torch.randn(2, 4, 8, 8))
    term.fit(student, teacher, classes=4)
    assert term.adapters[0].out_channels == 5
    assert term(student, teacher, None)['loss_hint'].isfinite()


def test_threshold_is_a_probability():
    with pytest.raises(ValueError, match='OnConfident: threshold must be in 0..1, but is 90'):
        OnConfident(90, PI)
