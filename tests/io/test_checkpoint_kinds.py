import pytest

from mmseg_kd.io.checkpoint_kinds import kind_of_weights

WANTED = {'backbone.conv1.weight', 'backbone.layer1.0.conv1.weight', 'decode_head.conv_seg.weight'}


@pytest.mark.parametrize(
    'found, kind',
    [
        ({'conv1.weight', 'layer1.0.conv1.weight', 'fc.weight'}, 'a backbone alone'),
        ({'state_dict.backbone.conv1.weight', 'state_dict.backbone.layer1.0.conv1.weight'}, 'a backbone alone'),
        ({'conv_stem.weight', 'blocks.0.0.bn1.weight', 'classifier.weight'}, 'a backbone of timm'),
        ({'features.0.weight', 'fc.weight'}, 'a backbone of torchvision or timm'),
        ({'model.backbone.bottom_up.stem.conv1.weight', 'model.sem_seg_head.predictor.weight'}, 'Detectron2'),
        ({'backbone.layer9.weight', 'rpn_head.rpn_conv.weight'}, 'a detector of MMDetection'),
        (
            {'encoder.conv1.weight', 'decoder.blocks.0.weight', 'segmentation_head.0.weight'},
            'segmentation_models_pytorch',
        ),
        ({'image_encoder.pos_embed', 'mask_decoder.iou_token.weight'}, 'Segment Anything'),
        ({'model.model.0.conv.weight', 'model.model.2.cv1.conv.weight'}, 'Ultralytics'),
        ({'segformer.encoder.block.0.0.weight', 'decode_head.linear_c.0.weight'}, 'Hugging Face transformers'),
        ({'backbone.body.conv9.weight', 'classifier.4.weight', 'aux_classifier.4.weight'}, 'a network of torchvision'),
        (
            {'backbone.conv1.weight', 'decode_head.other.weight', 'neck.conv.weight', 'neck.bn.weight'},
            'another network of the same kind',
        ),
        ({'generator.0.weight', 'critic.0.weight'}, 'its weights begin with critic, generator;'),
        (set(), 'it holds no tensors'),
    ],
)
def test_names_tell_what_a_network_is(found, kind):
    assert kind in kind_of_weights(found, WANTED)
    assert kind in kind_of_weights(found, {f'student.{name}' for name in WANTED})
