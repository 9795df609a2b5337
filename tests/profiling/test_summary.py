import math

import pytest
import torch
from mmseg.models import EncoderDecoder
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
            teacher=dict(
                a=dict(model=toy_segmentor(8)), b=[dict(model=toy_segmentor(4)), dict(model=toy_segmentor(4))]
            ),
            terms=dict(
                loss_a=dict(
                    student='logits',
                    teacher='a.logits',
                    loss=dict(type='PixelWiseKDLoss'),
                    weight=dict(type='CutoffWeight', weight=1.0, end=3),
                ),
                loss_b=dict(student='logits', teacher='b.logits', loss=dict(type='PixelWiseKDLoss')),
            ),
        )
    )
    text = distillation_summary(model)
    assert [line.split('  ')[0] for line in text.splitlines()] == [
        '',
        'student',
        'teacher a',
        'teacher b 0',
        'teacher b 1',
        '',
        'term',
        'loss_a',
        'loss_b',
    ]
    assert 'a.logits 4x4x4' in text and 'CutoffWeight' in text
    ratio = cost(model.teachers['a'].module, (32, 32))[0] / cost(model.student, (32, 32))[0]
    assert f'{ratio:.2f} x' in text
    assert all(m.training for m in model.student.modules()) == pytest.approx(True)


class Uncountable(EncoderDecoder):
    """As Mask2Former of MMSegmentation, whose head needs more than features."""

    def _forward(self, inputs, data_samples=None):
        raise TypeError("forward() missing 1 required positional argument: 'batch_data_samples'")


def test_what_cannot_be_counted_does_not_end_a_run(monkeypatch):
    said = []
    monkeypatch.setattr('mmseg_kd.profiling.summary.print_log', lambda text, *args: said.append(text))
    uncountable = dict(toy_segmentor(4), type=Uncountable)
    model = MODELS.build(uncountable).train()
    parameters, flops = cost(model, (32, 32))
    assert parameters == cost(MODELS.build(toy_segmentor(4)), (32, 32))[0] and math.isnan(flops) and model.training
    assert said == [
        'the multiply-adds of Uncountable cannot be counted: forward() missing 1 required positional argument: '
        "'batch_data_samples'"
    ]
    term = dict(student='logits', teacher='logits', loss=dict(type='PixelWiseKDLoss'))
    for student, teacher in ((toy_segmentor(4), uncountable), (uncountable, toy_segmentor(4))):
        text = distillation_summary(
            MODELS.build(dict(type='Distiller', student=student, teacher=dict(model=teacher), terms=dict(loss=term)))
        )
        row = next(line for line in text.splitlines() if line.startswith('teacher'))
        assert row.endswith('1.00 x, -') and 'nan' not in text
