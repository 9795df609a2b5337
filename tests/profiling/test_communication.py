"""The model of the traffic against formulas by hand; tests/benchmarks/test_scaling.py compares it with two processes."""

import pytest
from mmseg.registry import MODELS
from torch import nn

from mmseg_kd.profiling.communication import Traffic, step_traffic
from mmseg_kd.testing.toys import toy_segmentor


def test_one_process_sends_nothing():
    assert Traffic('x', reduced=100, gathered=100).sent(1) == 0


@pytest.mark.parametrize('processes, pushed', [(1, 10), (4, 3)])
def test_each_term_sends_what_its_loss_shares(processes, pushed):
    path = dict(student='backbone[3]', teacher='backbone[3]')
    classes, channels, images = 4, 32, 2
    cells = 1  # 4 x 4 pixels of 1/8 of 32 x 32
    model = MODELS.build(
        dict(
            type='Distiller',
            student=toy_segmentor(4),
            teacher=dict(model=toy_segmentor(4)),
            terms=dict(
                loss_pi=dict(student='logits', teacher='logits', loss=dict(type='PixelWiseKDLoss')),
                loss_memory=dict(path, loss=dict(type='CIRKDMemoryLoss', pixel_size=8, pixels_per_class=3)),
                loss_channel=dict(path, loss=dict(type='CIRKDChannelLoss', size=8, pushed=10)),
            ),
        )
    )
    model.student.backbone.extra = nn.SyncBatchNorm(6)
    found = {part.name: (part.reduced, part.gathered) for part in step_traffic(model, images, processes)}
    assert found.pop('gradients') == (4 * sum(p.numel() for p in model.parameters()), 0)
    assert found == {
        'SyncBN': (4 * 12, 4 * 13),
        'denominators of terms': (4 * 3, 0),
        'loss_memory': (0, images * classes * (1 + 3) * (4 * channels + 8)),
        'loss_channel': (0, pushed * (4 * cells + 8)),
    }
