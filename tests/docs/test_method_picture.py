"""The picture of a method shows what its terms read."""

import xml.etree.ElementTree as ElementTree

import pytest
from method_picture import TERM_STEP, _spread, box_of, method_picture
from mmengine.registry import init_default_scope

from mmseg_kd.distillers.dry_run import build_skeleton
from mmseg_kd.testing.toys import toy_segmentor


@pytest.mark.parametrize(
    'path, box',
    [
        ('inputs', 'images'),
        ('backbone[0]', 'stage 1'),
        ('deep.backbone.layer4', 'stage 4'),
        ('prelogits', 'head features'),
        ('decode_head.bottleneck', 'head features'),
        ('decode_head.conv_seg.weight', 'classifier'),
        ('logits', 'logits'),
        ('auxiliary_head.conv_seg', 'auxiliary head'),
        ('deep.logits', 'logits'),
        ('neck.fpn', 'neck.fpn'),
    ],
)
def test_a_path_belongs_to_a_box(path, box):
    assert box_of(path) == box


def test_terms_keep_their_distance_and_lie_around_what_they_read():
    assert _spread([200.0]) == [200.0]
    assert _spread([200.0, 200.0]) == [200.0 - TERM_STEP / 2, 200.0 + TERM_STEP / 2]


def test_a_picture_has_a_box_for_each_term_and_a_line_for_each_path():
    init_default_scope('mmseg')
    student, teacher = (toy_segmentor(width).to_dict() for width in (4, 8))
    terms = dict(
        loss_a=dict(student='backbone[3]', teacher='backbone[3]', loss=dict(type='HintLoss'), weight=2.0),
        loss_b=dict(student=['logits', 'inputs'], teacher='logits', loss=dict(type='HolisticKDLoss')),
    )
    model = build_skeleton(dict(type='Distiller', student=student, teacher=dict(model=teacher), terms=terms))
    picture = ElementTree.fromstring(method_picture(list(model.terms.values())))
    of_kind = lambda tag, kind: [node for node in picture.iter(tag) if node.get('class') == kind]  # noqa: E731
    assert [node.text for node in of_kind('text', 'term')] == ['HintLoss', 'HolisticKDLoss']
    assert [node.text for node in of_kind('text', 'note')] == ['weight 2, adapter', 'weight 1, auxiliary module']
    assert len(of_kind('path', 'reads')) == 5 and len(of_kind('rect', 'read')) == 5
