import pytest
import torch
from mmseg.models import SegDataPreProcessor
from torch import nn

from mmseg_kd.distillers.normalisation import Renormalise

RAW = torch.randint(0, 256, (3, 5, 6), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
IMAGENET = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])
HALF = dict(mean=[127.5, 120.0, 110.0], std=[127.5, 64.0, 32.0])


def preprocess(preprocessor):
    return preprocessor(dict(inputs=[RAW], data_samples=None))['inputs']


@pytest.mark.parametrize('source', [dict(IMAGENET, bgr_to_rgb=True), dict(HALF), dict()])
@pytest.mark.parametrize('target', [dict(IMAGENET, bgr_to_rgb=True), dict(HALF), dict(HALF, bgr_to_rgb=True), dict()])
def test_converts_to_what_the_target_would_have_made_of_the_raw_image(source, target):
    source, target = SegDataPreProcessor(**source), SegDataPreProcessor(**target)
    converted = Renormalise(source, target)(preprocess(source))
    assert torch.allclose(converted, preprocess(target), atol=1e-3)


def test_equal_preprocessors_share_the_tensor():
    images = torch.randn(1, 3, 4, 4)
    assert Renormalise(SegDataPreProcessor(**IMAGENET), SegDataPreProcessor(**IMAGENET))(images) is images
    assert Renormalise(nn.Identity(), SegDataPreProcessor())(images) is images  # neither normalises
