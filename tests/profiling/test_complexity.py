"""Parameters and MACs, counted by hand."""

import math

import torch
from mmseg.models import EncoderDecoder
from mmseg.registry import MODELS

from mmseg_kd.profiling.complexity import complexity
from mmseg_kd.profiling.summary import distillation_summary
from mmseg_kd.testing.toys import toy_segmentor


def test_cost_counts_what_is_deployed():
    with_auxiliary, without = (MODELS.build(toy_segmentor(4, auxiliary=a)) for a in (True, False))
    assert complexity(with_auxiliary, (32, 32)) == complexity(without, (32, 32))
    assert complexity(without, (32, 32))[0] == sum(p.numel() for p in without.parameters())
    small, large = complexity(without, (32, 32))[1], complexity(without, (64, 64))[1]
    assert 3.5 < large / small <= 4


def test_half_precision_and_its_layout_do_not_matter():
    model = MODELS.build(toy_segmentor(4))
    expected = complexity(model, (32, 32))
    assert complexity(model.to(dtype=torch.bfloat16, memory_format=torch.channels_last), (32, 32)) == expected


class Uncountable(EncoderDecoder):
    """As Mask2Former of MMSegmentation, whose head needs more than features."""

    def _forward(self, inputs, data_samples=None):
        raise TypeError("forward() missing 1 required positional argument: 'batch_data_samples'")


def test_what_cannot_be_counted_does_not_end_a_run(monkeypatch):
    said = []
    monkeypatch.setattr('mmseg_kd.profiling.complexity.print_log', lambda text, *args: said.append(text))
    uncountable = dict(toy_segmentor(4), type=Uncountable)
    model = MODELS.build(uncountable).train()
    parameters, macs = complexity(model, (32, 32))
    assert parameters == complexity(MODELS.build(toy_segmentor(4)), (32, 32))[0] and math.isnan(macs) and model.training
    assert said == [
        'the MACs of Uncountable cannot be counted: forward() missing 1 required positional argument: '
        "'batch_data_samples'"
    ]
    term = dict(student='logits', teacher='logits', loss=dict(type='PixelWiseKDLoss'))
    for student, teacher in ((toy_segmentor(4), uncountable), (uncountable, toy_segmentor(4))):
        text = distillation_summary(
            MODELS.build(dict(type='Distiller', student=student, teacher=dict(model=teacher), terms=dict(loss_pi=term)))
        )
        row = next(line for line in text.splitlines() if line.startswith('teacher'))
        assert row.endswith('1.00 x, -') and 'nan' not in text
