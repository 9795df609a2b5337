import pytest
from mmengine.config import Config

from mmseg_kd.io.command_line import terms_file
from mmseg_kd.recipes import choose_method
from mmseg_kd.testing.toys import toy_segmentor

LITE = dict(type='TIMMBackbone', features_only=True)
PSP = toy_segmentor().decode_head


def network(backbone=None, head=None):
    return Config(dict(model=dict(type='EncoderDecoder', backbone=backbone or dict(LITE), decode_head=head or PSP)))


def tap_paths(terms):
    return [term.student for term in Config.fromfile(terms_file(terms)).terms.values()]


def test_networks_of_one_kind_get_a_term_on_features():
    choice = choose_method(
        'auto',
        network(dict(LITE, model_name='tf_efficientnet_lite0')),
        network(dict(LITE, model_name='tf_efficientnet_lite2'), dict(PSP, channels=128)),
    )
    assert choice.terms == 'cwd_at_tuned' and tap_paths(choice.terms) == ['logits', 'prelogits']
    assert 'both networks have a backbone TIMMBackbone tf_efficientnet_lite and a PSPHead' in choice.reason


def test_a_distilled_teacher_is_compared_by_its_segmentor():
    student = network(dict(type='ResNet', depth=18))
    teacher = Config(dict(model=dict(type='Distiller', student=network(dict(type='mmseg.ResNet', depth=101)).model)))
    assert choose_method('auto', student, teacher).terms == 'cwd_at_tuned'


@pytest.mark.parametrize(
    'teacher,reason',
    [
        (None, 'the teacher is of another library'),
        (network(dict(type='ResNet')), 'the backbones differ (TIMMBackbone mobilenetv4_conv and ResNet)'),
        (
            network(dict(LITE, model_name='tf_efficientnet_lite2')),
            '(TIMMBackbone mobilenetv4_conv and TIMMBackbone tf_efficientnet_lite)',
        ),
        (
            network(dict(LITE, model_name='mobilenetv4_conv_large'), dict(type='FCNHead')),
            'the decode_heads differ (PSPHead and FCNHead)',
        ),
        (network(dict(LITE, model_name='mobilenetv4_conv_large'), [PSP]), 'the decode_heads differ (PSPHead and none)'),
        (Config(dict(model=dict(type='HFSegmentor', pretrained='some/where'))), 'the backbones differ'),
    ],
)
def test_other_networks_get_logits_alone_and_the_reason(teacher, reason):
    choice = choose_method('auto', network(dict(LITE, model_name='mobilenetv4_conv_small')), teacher)
    assert choice.terms == 'cwd_tuned' and tap_paths(choice.terms) == ['logits']
    assert reason in choice.reason


def test_a_head_without_a_classifier_has_no_features_to_compare():
    head = dict(
        type='SegmenterMaskTransformerHead',
        in_channels=8,
        channels=8,
        embed_dims=8,
        num_layers=1,
        num_heads=1,
        num_classes=3,
    )
    choice = choose_method('auto', network(head=head), network(head=head))
    assert choice.terms == 'cwd_tuned' and 'SegmenterMaskTransformerHead has no layer conv_seg' in choice.reason


def test_a_named_method_is_taken_as_it_is():
    assert choose_method('cwd', network(), None) == ('cwd', 'named on the command line')


def test_images_that_nothing_else_teaches_get_dist_with_a_larger_share():
    lite = network(dict(LITE, model_name='tf_efficientnet_lite0'))
    choice = choose_method('auto', lite, lite, without_labels=True)
    (term,) = Config.fromfile(terms_file(choice.terms)).terms.values()
    assert term == dict(
        student='logits', teacher='logits', loss=dict(type='DISTLoss'), weight=dict(type='GradientShare', share=0.6)
    )
    assert 'the teacher cannot label' in choice.reason
    assert choose_method('cwd', lite, lite, without_labels=True).terms == 'cwd'
