import pytest
import torch
from mmseg.registry import MODELS

transformers = pytest.importorskip('transformers')

VIT = dict(hidden_size=16, num_hidden_layers=4, num_attention_heads=2, image_size=56, patch_size=14)
KINDS = dict(
    dinov2=('Dinov2', 'Model', VIT),
    dinov3=('DINOv3ViT', 'Model', dict(VIT, patch_size=16, image_size=64, num_register_tokens=2)),
    convnext=('ConvNext', 'ForImageClassification', dict(hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1])),
    swin=(
        'Swin',
        'ForImageClassification',
        dict(image_size=64, patch_size=4, embed_dim=8, depths=[1] * 4, num_heads=[1, 1, 2, 2], window_size=4),
    ),
)


@pytest.fixture(scope='module', params=KINDS)
def folder(request, tmp_path_factory):
    family, kind, settings = KINDS[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    torch.manual_seed(1)
    config = getattr(transformers, f'{family}Config')(**settings)
    getattr(transformers, f'{family}{kind}')(config).save_pretrained(folder)
    return str(folder)


def build(folder, **settings):
    return MODELS.build(dict(type='HFBackbone', pretrained=folder, **settings))


def test_has_the_maps_of_the_library_once_its_weights_are_initialized(folder):
    images = torch.randn(2, 3, 112, 224)  # multiples of 14 and of 16
    backbone = build(folder, out_indices=(1, 2, 4)).eval()
    library = type(backbone.network).from_pretrained(folder, out_indices=[1, 2, 4]).eval()
    with torch.no_grad():
        expected, before = library(images).feature_maps, backbone(images)
        backbone.init_weights()
        maps = backbone(images)
    assert [m.shape[1] for m in maps] == backbone.channels and len(maps) == 3
    for found, other, value in zip(maps, before, expected):
        assert torch.equal(found, value) and not torch.allclose(other, value)


def test_any_size_fits_and_the_gradient_reaches_the_weights(folder):
    backbone = build(folder)
    maps = backbone(torch.randn(1, 3, 61, 45))
    sum(m.square().sum() for m in maps).backward()
    assert all(m.dim() == 4 for m in maps)
    first = next(p for p in backbone.parameters() if p.dim() == 4)  # the convolution that makes the patches
    assert first.grad.abs().sum() > 0


@pytest.mark.parametrize('folder', ['dinov2'], indirect=True)
def test_trains_within_a_segmentor(folder):
    model = MODELS.build(
        dict(
            type='EncoderDecoder',
            backbone=dict(type='HFBackbone', pretrained=folder, out_indices=(1, 2, 3, 4)),
            neck=dict(type='Feature2Pyramid', embed_dim=16, rescales=[4, 2, 1, 0.5], norm_cfg=dict(type='BN')),
            decode_head=dict(
                type='SegformerHead', in_channels=[16] * 4, in_index=[0, 1, 2, 3], channels=8, num_classes=3
            ),
        )
    )
    model.init_weights()
    assert model(torch.randn(2, 3, 56, 84), mode='tensor').shape == (2, 3, 16, 24)


def test_another_kind_of_network_is_named(tmp_path):
    transformers.CLIPTextConfig().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match='backbone.pretrained must hold a backbone .*, but .* is a clip_text_model'):
        build(str(tmp_path))
