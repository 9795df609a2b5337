import pytest
import torch
import torch.nn.functional as F
from mmengine.config import ConfigDict
from torch import nn

from mmseg_kd.distillers.dry_run import as_trained, build_skeleton
from mmseg_kd.distillers.taps import Taps
from mmseg_kd.doctor.module_table import Feature, features, module_table
from mmseg_kd.testing.toys import toy_segmentor


def test_features_are_those_that_taps_read():
    skeleton = build_skeleton(toy_segmentor(4))
    found = features(skeleton, (64, 32))
    model = skeleton.to_empty(device='cpu').eval()
    names = [name for feature in found for name in feature.names]
    assert len(names) == len(set(names))
    with Taps(model, [name for name in names if not name.startswith('auxiliary_head')]) as values:
        model(torch.zeros(1, 3, 64, 32), mode='tensor')
    for feature in found[:-2]:
        assert all(tuple(values[name].shape[1:]) == feature.shape for name in feature.names)


def test_features_of_a_pspnet_in_the_order_of_computation():
    # Stem and pooling halve the size twice, the second stage once more; dilation keeps it afterwards.
    found = features(build_skeleton(toy_segmentor(4)), (64, 32))
    assert [(feature.names, feature.shape, feature.stride) for feature in found] == [
        (['backbone.stem'], (4, 32, 16), 2),
        (['backbone[0]', 'backbone.layer1'], (4, 16, 8), 4),
        (['backbone[1]', 'backbone.layer2'], (8, 8, 4), 8),
        (['backbone[2]', 'backbone.layer3'], (16, 8, 4), 8),
        (['backbone[3]', 'backbone.layer4'], (32, 8, 4), 8),
        (['decode_head.psp_modules[0]'], (8, 8, 4), 8),
        (['decode_head.psp_modules[1]'], (8, 8, 4), 8),
        (['decode_head.bottleneck'], (8, 8, 4), 8),
        (['prelogits'], (8, 8, 4), 8),
        (['logits', 'decode_head', 'decode_head.conv_seg'], (4, 8, 4), 8),
        (['auxiliary_head.convs'], (4, 8, 4), 8),
        (['auxiliary_head', 'auxiliary_head.conv_seg'], (4, 8, 4), 8),
    ]


class Cascade(nn.Module):
    """A network without backbone and heads: tokens, a module list, and an output of tokens."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Conv2d(3, 6, 4, 4)
        self.blocks = nn.ModuleList([nn.Linear(6, 6), nn.Linear(6, 6)])
        self.idle = nn.Linear(6, 6)
        self.norm = nn.LayerNorm(6)

    def forward(self, inputs, mode):
        tokens = self.embed(inputs).flatten(2).transpose(1, 2)
        for block in self.blocks:
            tokens = block(tokens)
        if bool(tokens.sum() > 1e9):  # depends on a value, which the meta device does not have
            raise AssertionError
        return self.norm(tokens)


def test_tokens_module_lists_and_forwards_that_depend_on_values():
    found = features(Cascade(), (16, 32))
    assert [(feature.names, feature.shape, feature.stride) for feature in found] == [
        (['embed'], (6, 4, 8), 4),
        (['blocks.0'], (32, 6), 4),
        (['blocks.1'], (32, 6), 4),
    ]


def test_networks_with_the_same_feature_share_a_row():
    student = [
        Feature(['backbone[0]', 'backbone.layer1'], (4, 8, 8), 4),
        Feature(['logits', 'decode_head'], (2, 8, 8), 4),
    ]
    teacher = [
        Feature(['backbone[0]', 'backbone.stages.0'], (9, 8, 8), 4),
        Feature(['neck[0]'], (9, 1, 1), 0),
        Feature(['logits', 'decode_head'], (2, 8, 8), 4),
    ]
    assert module_table(dict(student=student, teacher=teacher)).splitlines()[2:] == [
        '| backbone[0]          |   4x8x8 |      4 |   9x8x8 |      4 |',
        '| neck[0]              |         |        |   9x1x1 |      - |',
        '| logits = decode_head |   2x8x8 |      4 |   2x8x8 |      4 |',
    ]


@pytest.mark.parametrize(
    'names, shown',
    [
        (['a.0', 'a.1', 'a.2'], ['a.0..2']),
        (['a[0]', 'a[1]', 'b[2]'], ['a[0..1]', 'b[2]']),
        (['a.0', 'a.2'], ['a.0', 'a.2']),
        (['a.9.b', 'a.10.b', 'a.11.c'], ['a.9..10.b', 'a.11.c']),
    ],
)
def test_rows_that_differ_in_a_running_number_are_merged(names, shown):
    rows = module_table(dict(student=[Feature([name], (4, 8, 8), 4) for name in names])).splitlines()[2:]
    assert [row.split('|')[1].strip() for row in rows] == shown


def test_rows_with_different_shapes_are_not_merged():
    rows = module_table(dict(student=[Feature(['a.0'], (4, 8, 8), 4), Feature(['a.1'], (4, 4, 4), 8)])).splitlines()[2:]
    assert len(rows) == 2


def test_a_student_is_shown_in_training_and_a_teacher_in_inference():
    """The branches of PIDNet: P and D are for training only, I is deployed; all have stride 8."""
    head = dict(
        type='PIDHead', in_channels=16, channels=8, num_classes=4, loss_decode=[dict(type='CrossEntropyLoss')] * 4
    )
    config = dict(
        toy_segmentor(4, auxiliary=False), decode_head=head, backbone=dict(type='PIDNet', channels=4, ppm_channels=8)
    )
    student, teacher = (
        {name: feature.shape for feature in features(skeleton, (64, 64)) for name in feature.names}
        for skeleton in (as_trained(build_skeleton(config)), build_skeleton(config))
    )
    assert {name: student[name] for name in student if name.startswith('backbone[')} == {
        'backbone[0]': (8, 8, 8),
        'backbone[1]': (16, 8, 8),
        'backbone[2]': (8, 8, 8),
    }
    assert teacher['backbone'] == (16, 8, 8) and not any(name.startswith('backbone[') for name in teacher)
    assert student['logits'] == teacher['logits'] == student['decode_head[1]'] == teacher['decode_head'] == (4, 8, 8)
    assert 'decode_head.p_head' in student and 'decode_head.p_head' not in teacher
    assert 'prelogits' in student and 'prelogits' in teacher


def test_pointrend_is_shown_without_logits(monkeypatch):
    monkeypatch.setattr(
        'mmseg.models.decode_heads.point_head.point_sample',
        lambda maps, points, **_: F.grid_sample(maps, 2 * points[:, :, None] - 1, align_corners=False).squeeze(3),
    )
    coarse = dict(type='FCNHead', in_channels=32, in_index=3, channels=8, num_classes=4, align_corners=False)
    point = dict(type='PointHead', in_channels=[4], in_index=[0], channels=8, num_classes=4, num_fcs=1)
    config = ConfigDict(
        dict(
            toy_segmentor(4, auxiliary=False),
            type='CascadeEncoderDecoder',
            num_stages=2,
            decode_head=[coarse, point],
            test_cfg=dict(mode='whole', subdivision_steps=1, subdivision_num_points=16, scale_factor=2),
        )
    )
    for skeleton in (as_trained(build_skeleton(config)), build_skeleton(config)):
        found = {name: feature.shape for feature in features(skeleton, (64, 64)) for name in feature.names}
        assert found['decode_head.0'] == (4, 8, 8) and found['backbone[3]'] == (32, 8, 8) and 'logits' not in found
