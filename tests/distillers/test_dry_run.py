import pytest
import torch
from mmseg.registry import MODELS

from mmseg_kd.distillers import PathError
from mmseg_kd.distillers.dry_run import NearestNeighbours, build_skeleton, run_skeleton
from mmseg_kd.distillers.inference import forward_inference
from mmseg_kd.doctor.module_table import features
from mmseg_kd.testing.toys import toy_segmentor

PATHS = ['backbone[1]', 'backbone', 'prelogits', 'logits', 'auxiliary_head.conv_seg']


def test_a_skeleton_allocates_nothing_and_has_the_shapes_of_the_network(monkeypatch):
    skeleton = build_skeleton(toy_segmentor(4))
    assert all(p.is_meta for p in skeleton.parameters())
    with monkeypatch.context() as patch:
        # Batch normalization takes most of the time of a dry run, and changes no shape.
        patch.setattr(torch.nn.BatchNorm2d, 'forward', lambda *_: 1 / 0)
        shapes = run_skeleton(skeleton, PATHS, (33, 47))
        with pytest.raises(ZeroDivisionError):
            skeleton.backbone.stem[1](torch.zeros(1, 4, 8, 8, device='meta'))
    real = forward_inference(MODELS.build(toy_segmentor(4)).eval(), torch.zeros(1, 3, 33, 47), PATHS)
    for path in PATHS:
        flat = lambda v: [t.shape for t in v] if isinstance(v, (tuple, list)) else v.shape  # noqa: E731
        assert flat(shapes[path]) == flat(real[path]), path


@pytest.mark.parametrize(
    'shape, given',
    [
        ((2, 3, 5), dict(size=9, mode='linear')),
        ((2, 3, 5, 7), dict(size=(11, 4), mode='bilinear', align_corners=True)),
        ((2, 3, 5, 7), dict(scale_factor=1.5, mode='bilinear', antialias=True)),
        ((2, 3, 5, 7), dict(scale_factor=(0.3, 2.7), mode='bicubic', recompute_scale_factor=True)),
        ((2, 3, 5, 7), dict(size=3, mode='area')),
        ((2, 3, 4, 5, 7), dict(size=(2, 9, 3), mode='trilinear', align_corners=False)),
    ],
)
def test_interpolation_by_nearest_neighbours_has_the_sizes_of_every_mode(shape, given):
    with NearestNeighbours():
        found = torch.nn.functional.interpolate(torch.zeros(shape, device='meta'), **given)
    assert found.is_meta and found.shape == torch.nn.functional.interpolate(torch.zeros(shape), **given).shape


def test_a_dry_run_computes_no_linear_interpolation(monkeypatch):
    sizes = []
    linear = torch._C._nn.upsample_bilinear2d
    monkeypatch.setattr(torch._C._nn, 'upsample_bilinear2d', lambda x, *a: sizes.append(x.shape) or linear(x, *a))
    skeleton = build_skeleton(toy_segmentor(4))
    run_skeleton(skeleton, ['logits'], (33, 47))
    assert not sizes
    with torch.no_grad():
        forward_inference(skeleton, torch.zeros(1, 3, 33, 47, device='meta'), ['logits'])
    assert sizes


def test_a_network_that_looks_at_values_runs_on_the_cpu(monkeypatch):
    from mmseg.models import PSPHead

    forward = PSPHead.forward

    def looks(self, inputs):
        float(inputs[0].sum())
        return forward(self, inputs)

    monkeypatch.setattr(PSPHead, 'forward', looks)
    assert run_skeleton(build_skeleton(toy_segmentor(4)), ['logits'], (32, 32))['logits'].shape == (1, 4, 4, 4)


def test_a_network_that_needs_more_than_images_to_train_is_read_in_eval_mode(monkeypatch):
    from mmseg.models import PSPHead

    forward, modes = PSPHead.forward, []

    def looks(self, inputs):
        modes.append((self.training, inputs[0].device.type))
        if self.training:
            raise RuntimeError('labels are missing')
        return forward(self, inputs)

    monkeypatch.setattr(PSPHead, 'forward', looks)
    skeleton = build_skeleton(toy_segmentor(4)).train()
    assert run_skeleton(skeleton, ['logits'], (32, 32))['logits'].shape == (1, 4, 4, 4)
    assert modes == [(True, 'meta'), (True, 'cpu'), (False, 'cpu')]
    monkeypatch.setattr(PSPHead, 'forward', lambda self, inputs: inputs[99])
    with pytest.raises(IndexError):
        run_skeleton(build_skeleton(toy_segmentor(4)), ['logits'], (32, 32))


def test_a_wrong_config_says_what_is_wrong():
    with pytest.raises(KeyError, match='NoSuchSegmentor'):
        build_skeleton(dict(type='NoSuchSegmentor'))


def test_a_path_that_cannot_be_read_is_not_retried():
    with pytest.raises(PathError, match='asks for item 9'):
        run_skeleton(build_skeleton(toy_segmentor(4)), ['backbone[9]'], (32, 32))


def test_the_nested_outputs_of_dpt_are_read_by_two_indices():
    backbone = dict(
        type='VisionTransformer',
        img_size=32,
        patch_size=8,
        embed_dims=8,
        num_layers=4,
        num_heads=2,
        mlp_ratio=1,
        out_indices=(0, 1, 2, 3),
        with_cls_token=True,
        output_cls_token=True,
    )
    head = dict(
        type='DPTHead',
        in_channels=(8, 8, 8, 8),
        channels=8,
        embed_dims=8,
        post_process_channels=[8, 8, 8, 8],
        num_classes=3,
        in_index=(0, 1, 2, 3),
        input_transform='multiple_select',
        norm_cfg=dict(type='BN'),
    )
    skeleton = build_skeleton(dict(toy_segmentor(4), backbone=backbone, decode_head=head, auxiliary_head=None))
    found = run_skeleton(skeleton, ['backbone[-1][0]', 'backbone[-1][1]', 'logits'], (32, 32))
    assert [found[path].shape for path in found] == [(1, 8, 4, 4), (1, 8), (1, 3, 32, 32)]
    names = [name for feature in features(skeleton, (32, 32)) for name in feature.names]
    assert 'backbone[3][0]' in names and 'backbone[3][1]' in names
