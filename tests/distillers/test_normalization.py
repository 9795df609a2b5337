import pytest
import torch
from mmengine.model import BaseDataPreprocessor
from mmseg.models import SegDataPreProcessor
from torch import nn

from mmseg_kd.distillers.normalization import Renormalize, normalizes

RAW = torch.randint(0, 256, (3, 5, 6), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
IMAGENET = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])
HALF = dict(mean=[127.5, 120.0, 110.0], std=[127.5, 64.0, 32.0])


def preprocess(preprocessor, raw=RAW):
    return preprocessor(dict(inputs=[raw], data_samples=None))['inputs']


@pytest.mark.parametrize('source', [dict(IMAGENET, bgr_to_rgb=True), dict(HALF), dict()])
@pytest.mark.parametrize('target', [dict(IMAGENET, bgr_to_rgb=True), dict(HALF), dict(HALF, bgr_to_rgb=True), dict()])
def test_converts_to_what_the_target_would_have_made_of_the_raw_image(source, target):
    source, target = SegDataPreProcessor(**source), SegDataPreProcessor(**target)
    converted = Renormalize(source, target)(preprocess(source))
    assert torch.allclose(converted, preprocess(target), atol=1e-3)


def test_equal_preprocessors_share_the_tensor():
    images = torch.randn(1, 3, 4, 4)
    assert Renormalize(SegDataPreProcessor(**IMAGENET), SegDataPreProcessor(**IMAGENET))(images) is images
    assert Renormalize(nn.Identity(), SegDataPreProcessor())(images) is images  # neither normalizes


@pytest.mark.parametrize('channels', [1, 4])
@pytest.mark.parametrize('target', [dict(mean=[100.0], std=[50.0], rgb_to_bgr=True), dict()])
def test_images_of_other_than_three_channels_are_converted_and_never_swapped(channels, target):
    raw = torch.randint(0, 256, (channels, 5, 6), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    source, target = SegDataPreProcessor(mean=[127.5], std=[64.0]), SegDataPreProcessor(**target)
    converted = Renormalize(source, target)(preprocess(source, raw))
    assert torch.allclose(converted, preprocess(target, raw), atol=1e-3)


class Depth(BaseDataPreprocessor):
    """Normalizes by means of its own, which nobody else knows."""


def test_a_preprocessor_of_an_unknown_kind_equals_its_like_and_is_otherwise_refused():
    images = torch.randn(1, 1, 4, 4)
    assert Renormalize(Depth(), Depth())(images) is images
    with pytest.raises(
        ValueError, match='the mean and std of a Depth are not known; give student and teacher the same'
    ):
        Renormalize(SegDataPreProcessor(**IMAGENET), Depth())


def test_says_which_preprocessors_normalize():
    assert normalizes(SegDataPreProcessor(**HALF)) and normalizes(Depth())
    assert not normalizes(SegDataPreProcessor(bgr_to_rgb=True)) and not normalizes(BaseDataPreprocessor())
