"""The summary of a distiller."""

import pytest
from mmseg.registry import MODELS

from mmseg_kd.profiling.complexity import complexity
from mmseg_kd.profiling.summary import distillation_summary
from mmseg_kd.testing.toys import toy_segmentor


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
    ratio = complexity(model.teachers['a'].module, (32, 32))[0] / complexity(model.student, (32, 32))[0]
    assert f'{ratio:.2f} x' in text
    assert all(m.training for m in model.student.modules()) == pytest.approx(True)
