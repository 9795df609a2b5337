import pytest
import torch
from mmseg.registry import MODELS

from mmseg_kd.profiling.summary import cost, distillation_summary
from mmseg_kd.testing.toys import toy_segmentor


def test_cost_counts_what_is_deployed():
    with_auxiliary, without = (MODELS.build(toy_segmentor(4, auxiliary=a)) for a in (True, False))
    assert cost(with_auxiliary, (32, 32)) == cost(without, (32, 32))
    assert cost(without, (32, 32))[0] == sum(p.numel() for p in without.parameters())
    small, large = cost(without, (32, 32))[1], cost(without, (64, 64))[1]
    assert 3.5 < large / small <= 4


def test_half_precision_and_its_layout_do_not_matter():
    model = MODELS.build(toy_segmentor(4))
    expected = cost(model, (32, 32))
    assert cost(model.to(dtype=torch.bfloat16, memory_format=torch.channels_last), (32, 32)) == expected


def test_the_summary_has_each_network_and_term():
    model = MODELS.build(
        dict(
            type='Distiller',
            student=toy_segmentor(4),
            teacher=dict(a=dict(model=toy_segmentor(8)), b=[dict(model=toy_segmentor(4)), dict(model=toy_segmentor(4))]),
            terms=dict(
                loss_a=dict(student='logits', teacher='a.logits', loss=dict(type='PixelWiseKDLoss'),
                            weight=dict(type='CutoffWeight', weight=1.0, end=3)),
                loss_b=dict(student='logits', teacher='b.logits', loss=dict(type='PixelWiseKDLoss')))))
    text = distillation_summary(model)
    assert [line.split('  ')[0] for line in text.splitlines()] == [
        '', 'student', 'teacher a', 'teacher b 0', 'teacher b 1', '', 'term', 'loss_a', 'loss_b'
    ]
    assert 'a.logits 4x4x4' in text and 'CutoffWeight' in text
    ratio = cost(model.teachers['a'].module, (32, 32))[0] / cost(model.student, (32, 32))[0]
    assert f'{ratio:.2f} x' in text
    assert all(m.training for m in model.student.modules()) == pytest.approx(True)
