import subprocess
from pathlib import Path

import pytest
import torch
from fork_server import forked_python
from mmengine.config import Config
from mmseg.registry import MODELS

from mmseg_kd import config_file
from mmseg_kd.io.checkpoint import load_weights
from mmseg_kd.models.torchvision_fcn import convert_torchvision_fcn

segmentation = pytest.importorskip('torchvision.models.segmentation', exc_type=Exception)
TOOL = Path(__file__).resolve().parents[2] / 'tools/convert_torchvision_fcn.py'


@pytest.fixture(scope='module')
def theirs():
    """Random weights, and statistics of the normalizations that are no ones and zeros."""
    torch.manual_seed(0)
    model = segmentation.fcn_resnet50(weights=None, weights_backbone=None, num_classes=21, aux_loss=True).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.8, 1.2)
            torch.nn.init.uniform_(module.weight, 0.5, 1.0)
            torch.nn.init.uniform_(module.bias, -0.1, 0.1)
    return model


def ours():
    return MODELS.build(Config.fromfile(config_file('mmseg_kd::_base_/models/fcn_r50_torchvision.py')).model).eval()


@torch.no_grad()
def test_outputs_are_equal(theirs):
    model = ours()
    model.load_state_dict(convert_torchvision_fcn(theirs.state_dict()))
    images = torch.randn(1, 3, 65, 98)
    expected = theirs(images)
    maps = model.extract_feat(images)
    for head, name in ((model.decode_head, 'out'), (model.auxiliary_head, 'aux')):
        logits = torch.nn.functional.interpolate(head(maps), size=(65, 98), mode='bilinear', align_corners=False)
        torch.testing.assert_close(logits, expected[name], rtol=1e-4, atol=1e-5)
        assert logits.std() > 1e-3
    # The segmentor itself resizes likewise.
    torch.testing.assert_close(
        model.encode_decode(images, [dict(img_shape=(65, 98), ori_shape=(65, 98))]),
        expected['out'],
        rtol=1e-4,
        atol=1e-5,
    )


def test_images_are_normalised_as_torchvision_does():
    """From blue, green, red of 0..255, as OpenMMLab reads files, to normalized red, green, blue of 0..1."""
    image = torch.randint(0, 256, (3, 4, 5), dtype=torch.uint8)
    mean, std = (torch.tensor(values)[:, None, None] for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    inputs = ours().data_preprocessor(dict(inputs=[image]))['inputs']
    torch.testing.assert_close(inputs[0], (image.flip(0) / 255 - mean) / std)


def test_the_tool_writes_a_checkpoint_that_a_teacher_loads(theirs, tmp_path):
    torch.save(theirs.state_dict(), tmp_path / 'weights.pth')
    subprocess.run(
        [forked_python(), str(TOOL), str(tmp_path / 'weights.pth'), str(tmp_path / 'new/fcn.pth')], check=True
    )
    model = ours()
    load_weights(model, str(tmp_path / 'new/fcn.pth'))
    torch.testing.assert_close(model.decode_head.conv_seg.bias, theirs.classifier[4].bias)
    assert [path.name for path in (tmp_path / 'new').iterdir()] == ['fcn.pth']


def test_a_model_without_auxiliary_classifier_converts(theirs):
    weights = {key: value for key, value in theirs.state_dict().items() if not key.startswith('aux')}
    assert not any('auxiliary' in key for key in convert_torchvision_fcn(weights))


def test_weights_of_another_model_are_told(theirs):
    with pytest.raises(ValueError, match='"features.0.weight" must be a name of torchvision.models.segmentation.fcn'):
        convert_torchvision_fcn({'features.0.weight': torch.zeros(1)})
    backbone = {key: value for key, value in theirs.state_dict().items() if key.startswith('backbone')}
    with pytest.raises(ValueError, match='with its backbone and classifier, but have 318 entries, the first'):
        convert_torchvision_fcn(backbone)
