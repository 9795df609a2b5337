import pytest
import torch
from mmseg.models import SegDataPreProcessor
from mmseg.models.decode_heads import PointHead
from mmseg.registry import MODELS
from torch import nn

from mmseg_kd.distillers.dry_run import build_skeleton, run_skeleton
from mmseg_kd.distillers.inference import image_channels, image_size, run_network
from mmseg_kd.testing.toys import toy_segmentor


def of_channels(channels, **more):
    model = toy_segmentor(4, mean=[127.5], std=[64.0], bgr_to_rgb=False)
    model.backbone.in_channels = channels
    return dict(model, **more)


@pytest.mark.parametrize('channels', [1, 3, 4, 12])
def test_the_first_convolution_tells_the_channels_of_the_images(channels):
    skeleton = build_skeleton(of_channels(channels))
    assert image_channels(skeleton) == image_channels(MODELS.build(of_channels(channels))) == channels
    assert run_skeleton(skeleton, ['inputs', 'logits'], (32, 32))['inputs'].shape == (1, channels, 32, 32)


def test_means_of_channels_tell_it_before_the_convolution_and_three_is_the_guess():

    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.later, self.data_preprocessor = nn.Conv2d(64, 8, 1), SegDataPreProcessor(mean=[1, 2, 3], std=[1, 1, 1])

    assert image_channels(Odd()) == 3 and image_channels(nn.Linear(2, 2)) == 3


@pytest.mark.parametrize(
    'backbone, channels',
    [
        (dict(type='CompactEncoder', in_channels=2), 2),
        (
            dict(
                type='SwinTransformer',
                in_channels=5,
                embed_dims=8,
                depths=(2, 2),
                num_heads=(1, 2),
                strides=(4, 2),
                out_indices=(0, 1),
            ),
            5,
        ),
        (dict(type='MixVisionTransformer', in_channels=6, embed_dims=8, num_layers=[1] * 4, num_heads=[1] * 4), 6),
        (dict(type='UNet', in_channels=7, base_channels=4), 7),
        (
            dict(
                type='BiSeNetV1',
                in_channels=4,
                context_channels=(8, 8, 8),
                spatial_channels=(8, 8, 8, 8),
                out_channels=8,
                backbone_cfg=dict(type='ResNet', in_channels=4, depth=18, base_channels=4, stem_channels=4),
            ),
            4,
        ),
    ],
)
def test_it_is_found_in_backbones_of_many_kinds(backbone, channels):
    head = dict(type='FCNHead', in_channels=4, in_index=0, channels=4, num_convs=1, num_classes=2)
    assert (
        image_channels(build_skeleton(of_channels(3, backbone=backbone, decode_head=head, auxiliary_head=None)))
        == channels
    )


@pytest.mark.parametrize(
    'settings, expected',
    [
        (dict(size=(32, 48)), (32, 48)),
        (dict(size_divisor=100), (600, 600)),
        (dict(size_divisor=32), (512, 512)),
        (dict(), (512, 512)),
        (dict(size=None, size_divisor=None), (512, 512)),
    ],
)
def test_training_images_have_the_size_of_the_preprocessor_or_one_that_its_divisor_allows(settings, expected):
    assert image_size(settings) == image_size(SegDataPreProcessor(**settings)) == expected


def test_without_any_preprocessor_the_size_is_the_default():
    assert image_size(None, 256) == image_size(nn.Identity(), 256) == (256, 256) and image_size({}) == (512, 512)


def test_a_network_of_one_channel_reads_what_it_computes():
    model = MODELS.build(of_channels(1)).eval()
    assert torch.isfinite(model(torch.randn(1, 1, 32, 32), mode='tensor')).all()


def test_a_head_that_needs_more_than_features_predicts_with_the_sizes_of_the_images():
    model, seen = MODELS.build(toy_segmentor(4, auxiliary=False)).eval(), []

    class Masks(nn.Module):
        def forward(self, features, data_samples):
            raise AssertionError('needs samples')

        def predict(self, features, metas, settings):
            seen.extend([len(features), metas, settings])

    model.decode_head = Masks()
    run_network(model, torch.zeros(2, 3, 32, 48))
    size = (32, 48)
    meta = dict(ori_shape=size, img_shape=size, pad_shape=size, padding_size=[0, 0, 0, 0])
    assert seen == [4, 2 * [meta], model.test_cfg]


def test_a_head_of_points_predicts_from_the_output_of_the_head_before():
    model, seen = MODELS.build(toy_segmentor(4, auxiliary=False)).eval(), []

    class Points(PointHead):
        def __init__(self):
            nn.Module.__init__(self)

        def forward(self, fine, coarse):
            raise AssertionError('needs points')

        def predict(self, features, coarse, metas, settings):
            seen.append((len(features), tuple(coarse.shape), len(metas)))

    model.decode_head = nn.ModuleList([model.decode_head, Points()])
    run_network(model, torch.zeros(2, 3, 32, 48))
    assert seen == [(4, (2, 4, 4, 6), 2)]
