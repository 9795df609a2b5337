"""`logits` is the map that prediction starts from, in every family of heads of MMSegmentation."""

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import ConfigDict
from mmengine.model import BaseModule
from mmengine.structures import PixelData
from mmseg.models import decode_heads
from mmseg.models.decode_heads import (
    FCNHead,
    Mask2FormerHead,
    MaskFormerHead,
    PSPHead,
    SideAdapterCLIPHead,
    VPDDepthHead,
)
from mmseg.registry import MODELS
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.dropout import _DropoutNd

from mmseg_kd.distillers import PathError, Taps
from mmseg_kd.distillers.class_logits import (
    check_head,
    class_logits,
    count_classes,
    decide,
    prediction_logits,
    prediction_shares,
    prediction_threshold,
)
from mmseg_kd.distillers.dry_run import as_trained, build_skeleton, run_skeleton
from mmseg_kd.distillers.inference import forward_inference
from mmseg_kd.testing.toys import toy_batch, toy_segmentor

BN = dict(type='BN', requires_grad=True)
ENTROPY = dict(type='CrossEntropyLoss')


def one(kind, **more):
    """A head on the last stage of the toy's ResNet, 32 channels."""
    return dict(type=kind, in_channels=32, in_index=3, channels=8, num_classes=4, dropout_ratio=0, norm_cfg=BN, **more)


def many(kind, stages=(0, 1, 2, 3), **more):
    """A head on several stages, of 4, 8, 16 and 32 channels."""
    return dict(one(kind, **more), in_channels=[4 * 2**i for i in stages], in_index=list(stages))


def resnet(head, **more):
    return dict(toy_segmentor(4, auxiliary=False), decode_head=head, **more)


def transformer(head, **more):
    backbone = dict(
        type='VisionTransformer',
        img_size=64,
        patch_size=16,
        embed_dims=8,
        num_layers=2,
        num_heads=2,
        out_indices=(0, 1),
    )
    return dict(resnet(head, **more), backbone=dict(backbone, **more.pop('backbone', {})))


def two_branches(backbone, head, channels, losses):
    return dict(
        resnet(
            dict(
                type=head,
                in_channels=channels,
                channels=8,
                num_classes=4,
                dropout_ratio=0,
                norm_cfg=BN,
                loss_decode=losses,
            )
        ),
        backbone=dict(type=backbone, channels=4, ppm_channels=8, norm_cfg=BN),
    )


UPDATE = dict(
    type='KernelUpdateHead',
    num_classes=4,
    num_ffn_fcs=2,
    num_heads=2,
    num_mask_fcs=1,
    feedforward_channels=16,
    in_channels=8,
    out_channels=8,
    dropout=0.0,
    conv_kernel_size=1,
    ffn_act_cfg=dict(type='ReLU', inplace=True),
    with_ffn=True,
    feat_transform_cfg=dict(conv_cfg=dict(type='Conv2d'), act_cfg=None),
    kernel_updator_cfg=dict(
        type='KernelUpdator',
        in_channels=8,
        feat_channels=8,
        out_channels=8,
        act_cfg=dict(type='ReLU', inplace=True),
        norm_cfg=dict(type='LN'),
    ),
)
FAMILIES = dict(
    ann=resnet(
        dict(many('ANNHead', (2, 3), project_channels=8, key_pool_scales=(1, 2)), dropout_ratio=0.1)
    ),  # needs one
    apc=resnet(one('APCHead', pool_scales=(1, 2))),
    aspp=resnet(one('ASPPHead', dilations=(1, 2))),
    cc=resnet(one('CCHead')),
    da=resnet(one('DAHead', pam_channels=4)),
    ddr=two_branches('DDRNet', 'DDRHead', 16, [dict(type='OhemCrossEntropy')] * 2),
    dm=resnet(one('DMHead', filter_sizes=(1, 3))),
    dnl=resnet(one('DNLHead')),
    dpt=transformer(
        dict(
            type='DPTHead',
            in_channels=(8, 8, 8, 8),
            channels=8,
            embed_dims=8,
            post_process_channels=[8, 8, 8, 8],
            num_classes=4,
            readout_type='project',
            input_transform='multiple_select',
            in_index=(0, 1, 2, 3),
            norm_cfg=BN,
            dropout_ratio=0,
        ),
        backbone=dict(num_layers=4, out_indices=(0, 1, 2, 3), output_cls_token=True),
    ),
    ema=resnet(one('EMAHead', ema_channels=8, num_bases=4, num_stages=2)),
    enc=resnet(many('EncHead', (1, 2, 3), num_codes=4)),
    fcn=resnet(one('FCNHead')),
    fpn=resnet(many('FPNHead', feature_strides=[4, 8, 16, 32])),
    gc=resnet(one('GCHead')),
    ham=resnet(many('LightHamHead', (1, 2, 3), ham_channels=8, ham_kwargs=dict(MD_R=4, train_steps=2, eval_steps=2))),
    isa=resnet(one('ISAHead', isa_channels=4, down_factor=(2, 2))),
    knet=resnet(
        dict(
            type='IterativeDecodeHead',
            num_stages=2,
            kernel_update_head=[UPDATE, UPDATE],
            kernel_generate_head=one('FCNHead'),
        )
    ),
    lraspp=resnet(many('LRASPPHead', (0, 1, 3), input_transform='multiple_select', branch_channels=(4, 8))),
    nl=resnet(one('NLHead')),
    ocr=resnet([one('FCNHead'), one('OCRHead', ocr_channels=4)], type='CascadeEncoderDecoder', num_stages=2),
    pid=two_branches(
        'PIDNet',
        'PIDHead',
        16,
        [ENTROPY, dict(type='OhemCrossEntropy'), dict(type='BoundaryLoss'), dict(type='OhemCrossEntropy')],
    ),
    psa=resnet(one('PSAHead', mask_size=(4, 4))),
    psp=resnet(one('PSPHead', pool_scales=(1, 2))),
    segformer=resnet(many('SegformerHead')),
    segmenter=transformer(
        dict(
            type='SegmenterMaskTransformerHead',
            in_channels=8,
            channels=8,
            num_classes=4,
            num_layers=1,
            num_heads=2,
            embed_dims=8,
            dropout_ratio=0,
            drop_path_rate=0,
        ),
        backbone=dict(final_norm=True),
    ),
    sep_aspp=resnet(one('DepthwiseSeparableASPPHead', dilations=(1, 2), c1_in_channels=4, c1_channels=4)),
    sep_fcn=resnet(one('DepthwiseSeparableFCNHead')),
    setr_mla=transformer(
        dict(
            type='SETRMLAHead',
            in_channels=(8, 8),
            channels=8,
            in_index=(0, 1),
            mla_channels=4,
            num_classes=4,
            dropout_ratio=0,
            norm_cfg=BN,
        ),
        neck=dict(type='MLANeck', in_channels=[8, 8], out_channels=8, norm_cfg=BN, act_cfg=dict(type='ReLU')),
    ),
    setr_up=transformer(
        dict(
            type='SETRUPHead',
            in_channels=8,
            channels=8,
            in_index=1,
            num_classes=4,
            dropout_ratio=0,
            norm_cfg=BN,
            num_convs=2,
        )
    ),
    uper=resnet(many('UPerHead', pool_scales=(1, 2))),
)


# STDC's head is an auxiliary one, K-Net's updates are parts of its head; the others are below.
ELSEWHERE = {
    'STDCHead',
    'KernelUpdateHead',
    'KernelUpdator',
    'Mask2FormerHead',
    'MaskFormerHead',
    'PointHead',
    'SideAdapterCLIPHead',
    'VPDDepthHead',
}


def test_every_head_of_the_library_is_read_here():
    heads = (
        head
        for model in FAMILIES.values()
        for head in (model['decode_head'] if isinstance(model['decode_head'], list) else [model['decode_head']])
    )
    assert {head['type'] for head in heads} | ELSEWHERE >= set(decode_heads.__all__)


@pytest.fixture(autouse=True)
def operators(monkeypatch):
    """Stand-ins for the compiled operators of mmcv that are not installed everywhere; `point_sample` as mmcv has it."""
    from mmseg.models.decode_heads import cc_head, point_head, psa_head

    class Attention(nn.Module):
        def __init__(self, *args):
            super().__init__()

        def forward(self, x):
            return x

    def point_sample(maps, points, **kwargs):
        return F.grid_sample(maps, 2 * points[:, :, None] - 1, **kwargs).squeeze(3)

    monkeypatch.setattr(cc_head, 'CrissCrossAttention', Attention)
    monkeypatch.setattr(psa_head, 'PSAMask', Attention)
    monkeypatch.setattr(point_head, 'point_sample', point_sample)


def family(name):
    torch.manual_seed(0)
    model = MODELS.build(FAMILIES[name])
    for module in model.modules():
        if isinstance(module, _DropoutNd):
            module.p = 0
    if name == 'lraspp':
        model.decode_head.image_pool[0] = nn.AvgPool2d(2)  # of 49x49, which is for images of 1024 pixels
    return model


def batch(num_classes=4, size=64):
    data = toy_batch(2, size, num_classes)
    for sample in data['data_samples']:
        sample.gt_edge_map = PixelData(data=(sample.gt_sem_seg.data == 1).long())
    images = torch.stack(data['inputs']).float() / 64 - 2
    return images, data['data_samples']


def trained(model):
    """In training mode, but with the statistics of evaluation, so that both modes compute the same numbers."""
    model.train()
    for module in model.modules():
        if isinstance(module, _NormBase):
            module.eval()
    return model


def reached(model, values):
    """The parameters of the heads that influence ``values``."""
    named = {name: p for name, p in model.named_parameters() if name.startswith('decode_head') and p.requires_grad}
    grads = torch.autograd.grad(values.square().sum(), named.values(), allow_unused=True)
    return {name for name, grad in zip(named, grads) if grad is not None and grad.abs().sum() > 0}


def seeded(function, *args, **kwargs):
    torch.manual_seed(1)  # LightHam draws its bases in every pass
    return function(*args, **kwargs)


@pytest.mark.parametrize('name', FAMILIES)
def test_logits_are_what_prediction_starts_from_in_training_and_in_testing(name):
    model, (images, samples) = family(name), batch()
    metas = [sample.metainfo for sample in samples]

    predicted = seeded(model.eval().encode_decode, images, metas)
    read = seeded(forward_inference, model, images, ['logits'])['logits']
    assert read.shape[:2] == (2, 4)
    resized = F.interpolate(read, size=images.shape[2:], mode='bilinear', align_corners=model.align_corners)
    torch.testing.assert_close(resized, predicted)
    wanted = reached(model, predicted)
    assert wanted

    with Taps(trained(model), ['logits']) as values:
        seeded(model.loss, images, samples)
    torch.testing.assert_close(values['logits'], read)
    assert reached(model, values['logits']) == wanted
    again = seeded(forward_inference, model, images, ['logits'])['logits']
    torch.testing.assert_close(again, read)


def shapes(value):
    return [tuple(x.shape[1:]) for x in value] if isinstance(value, (tuple, list)) else tuple(value.shape[1:])


@pytest.mark.parametrize('name', ['ddr', 'pid', 'knet', 'da', 'enc', 'ema', 'ocr', 'dpt'])
def test_the_dry_run_has_the_shapes_of_the_student_s_step_and_of_the_teacher_s(name):
    (images, samples), model, paths = (
        batch(),
        family(name),
        ['logits', 'decode_head.0' if name == 'ocr' else 'decode_head'],
    )
    paths += [] if name == 'dpt' else ['backbone']
    with Taps(trained(model), paths) as step:
        model.loss(images, samples)
    planned = run_skeleton(as_trained(build_skeleton(FAMILIES[name])), paths, (64, 64))
    assert {path: shapes(planned[path]) for path in paths} == {path: shapes(step[path]) for path in paths}
    asked = forward_inference(model.eval(), images, paths)
    planned = run_skeleton(build_skeleton(FAMILIES[name]), paths, (64, 64))
    assert {path: shapes(planned[path]) for path in paths} == {path: shapes(asked[path]) for path in paths}


class Queries(nn.Module):
    """Three queries of a mask classifier: classes (N, 3, 5) and masks (N, 3, h, w), for two layers."""

    def __init__(self):
        super().__init__()
        self.classes, self.masks = nn.ModuleList(nn.Linear(32, 15) for _ in range(2)), nn.Conv2d(32, 3, 1)

    def forward(self, features):
        pooled = features[-1].mean((2, 3))
        return [layer(pooled).unflatten(1, (3, 5)) for layer in self.classes], [self.masks(features[-1])] * 2


def mask_classifier(kind, stacked):
    """A head of MMSegmentation without its queries, which are mmdet's."""

    class Head(kind):
        # MMSegmentation's own predict(), which is what counts, is inherited.

        def __init__(self):
            BaseModule.__init__(self)
            self.num_classes = self.out_channels = 4
            self.align_corners, self.ignore_index, self.queries = False, 255, Queries()

        def forward(self, features, batch_data_samples):
            assert len(batch_data_samples) == len(features[-1])
            output = self.queries(features)
            return tuple(map(torch.stack, output)) if stacked else output

        def loss_by_feat(self, *args):
            return dict(loss_mask=torch.zeros(()))

    return Head()


@pytest.mark.parametrize('kind, stacked', [(Mask2FormerHead, False), (MaskFormerHead, True)])
def test_a_mask_classifier_gives_the_logarithm_of_the_shares_of_its_scores(kind, stacked):
    model, (images, samples) = MODELS.build(resnet(one('FCNHead'))), batch()
    model.decode_head = mask_classifier(kind, stacked)
    read = forward_inference(model.eval(), images, ['logits'])['logits']
    scores = model.decode_head.predict(model.extract_feat(images), [dict(img_shape=(8, 8))] * 2, None)
    torch.testing.assert_close(read.softmax(1), scores / scores.sum(1, keepdim=True))
    assert torch.equal(read.argmax(1), scores.argmax(1))

    with Taps(trained(model), ['logits']) as values:
        model.loss(images, samples)
    torch.testing.assert_close(values['logits'], read)
    values['logits'].square().sum().backward()
    queries = model.decode_head.queries
    assert all(p.grad.abs().sum() > 0 for p in (queries.classes[1].weight, queries.masks.weight))
    unused = queries.classes[0].weight.grad  # of the layer before
    assert unused is None or not unused.any()

    predicted = model.eval().predict(images)[0].seg_logits.data
    shares = prediction_shares(model, predicted)
    torch.testing.assert_close(shares, predicted / predicted.sum(0))
    torch.testing.assert_close(prediction_logits(model, predicted[None])[0].exp(), shares)


@MODELS.register_module()
class ToyTextEncoder(nn.Module):
    def forward(self):
        return torch.ones(4)


class SideAdapter(SideAdapterCLIPHead):
    """What SAN's head returns in training (three layers) and testing (one), without CLIP."""

    def __init__(self):
        BaseModule.__init__(self)
        self.num_classes = self.out_channels = 4
        self.align_corners, self.queries, self.deep_supervision_idxs = False, Queries(), [7]

    def forward(self, inputs, deep_supervision_idxs):
        images, features, embeddings = inputs
        assert len(embeddings) == 4
        classes, masks = self.queries(features)
        return (
            [masks[0]] * len(deep_supervision_idxs) + [masks[1]],
            [classes[0]] * len(deep_supervision_idxs) + [classes[1]],
        )


def test_san_is_read_where_it_predicts():
    head = SideAdapter()
    model = MODELS.build(
        dict(
            type='MultimodalEncoderDecoder',
            image_encoder=toy_segmentor(4)['backbone'],
            asymetric_input=False,
            text_encoder=dict(type='ToyTextEncoder'),
            decode_head=dict(type=lambda: head),
            test_cfg=dict(mode='whole'),
        )
    )
    images, _ = batch()
    read = forward_inference(model.eval(), images, ['logits'])['logits']
    scores = head.predict_by_feat(
        [maps[-1] for maps in head([images, model.image_encoder(images), torch.ones(4)], [])], [dict(img_shape=(8, 8))]
    )
    torch.testing.assert_close(read.softmax(1), scores / scores.sum(1, keepdim=True))
    in_training = head([images, model.image_encoder(images), torch.ones(4)], head.deep_supervision_idxs)
    torch.testing.assert_close(class_logits(head, in_training), read)


def point_rend():
    point = dict(
        type='PointHead',
        in_channels=[4],
        in_index=[0],
        channels=8,
        num_classes=4,
        num_fcs=1,
        dropout_ratio=0,
        coarse_pred_each_layer=True,
        align_corners=False,
        loss_decode=ENTROPY,
    )
    sampling = dict(num_points=16, oversample_ratio=3, importance_sample_ratio=0.75)
    refining = dict(mode='whole', subdivision_steps=2, subdivision_num_points=16, scale_factor=2)
    return ConfigDict(
        resnet(
            [many('FPNHead', feature_strides=[4, 8, 16, 32]), point],
            type='CascadeEncoderDecoder',
            num_stages=2,
            train_cfg=sampling,
            test_cfg=refining,
        )
    )


def test_pointrend_is_refused_and_its_coarse_logits_can_be_read():
    with pytest.raises(PathError, match='name "decode_head.0", the coarse logits'):
        Taps(MODELS.build(point_rend()), ['logits'])
    model, (images, samples) = MODELS.build(point_rend()), batch()
    paths = ['decode_head.0', 'decode_head.1.fcs.0']
    read = forward_inference(model.eval(), images, paths)
    assert read['decode_head.0'].shape == (2, 4, 16, 16) and read['decode_head.1.fcs.0'].shape == (2, 8, 16)
    with Taps(trained(model), paths) as values:
        model.loss(images, samples)
    torch.testing.assert_close(values['decode_head.0'], read['decode_head.0'])


def test_a_head_that_estimates_depth_has_no_logits():
    with pytest.raises(PathError, match='estimates depth and no classes'):
        check_head(object.__new__(VPDDepthHead))


class Second(FCNHead):
    """A user's head whose own predict() takes the second of its outputs."""

    def forward(self, inputs):
        maps = super().forward(inputs)
        return -maps, maps

    def predict(self, inputs, batch_img_metas, test_cfg):
        return self.predict_by_feat(self.forward(inputs)[1], batch_img_metas)


class LateSecond(Second):
    """The same, told by predict_by_feat()."""

    predict = FCNHead.predict

    def predict_by_feat(self, seg_logits, batch_img_metas):
        return super().predict_by_feat(seg_logits[1], batch_img_metas)


class Auxiliary(FCNHead):
    """A user's head that returns more in training, from which nobody can tell what it returns in testing."""

    def forward(self, inputs):
        maps = super().forward(inputs)
        return (-maps, maps) if self.training else maps


@pytest.mark.parametrize('kind', [Second, LateSecond])
def test_the_head_s_own_predict_says_which_output_it_takes(kind):
    model, (images, samples) = MODELS.build(resnet(dict(one('FCNHead'), type=kind))), batch()
    read = forward_inference(model.eval(), images, ['logits'])['logits']
    metas = [sample.metainfo for sample in samples]
    torch.testing.assert_close(F.interpolate(read, size=(64, 64), mode='bilinear'), model.encode_decode(images, metas))
    assert 'forward' not in model.decode_head.__dict__ and 'predict_by_feat' not in model.decode_head.__dict__


def test_a_head_whose_outputs_cannot_be_told_apart_is_refused():
    model, (images, _) = MODELS.build(resnet(dict(one('FCNHead'), type=Auxiliary))), batch()
    assert forward_inference(model.eval(), images, ['logits'])['logits'].shape[1] == 4
    with pytest.raises(PathError, match=r'Auxiliary returns 2 maps of 4 channels .* such as "decode_head\[0\]"'):
        forward_inference(model.train(), images, ['logits'])


BINARY = [dict(num_classes=2, out_channels=1), dict(num_classes=1)]


def binary(kind='PSPHead', **classes):
    loss = dict(type='CrossEntropyLoss', use_sigmoid=True)
    return resnet(dict(one(kind), **{'pool_scales': (1, 2), 'threshold': 0.4, 'loss_decode': loss, **classes}))


@pytest.mark.parametrize('classes', BINARY)
def test_one_channel_is_two_classes_with_the_probabilities_of_its_sigmoid(classes):
    model, (images, samples) = MODELS.build(binary(**classes)), batch(num_classes=2)
    assert (
        count_classes(model) == count_classes(model.decode_head) == count_classes(binary(**classes)['decode_head']) == 2
    )
    assert count_classes({}) == 0  # unknown
    with Taps(model.eval(), ['logits', 'decode_head.conv_seg', 'decode_head']) as values:
        model(images, mode='tensor')
    raw = values['decode_head.conv_seg']
    assert raw.shape[1] == 1 and values['decode_head'] is raw  # of modules, what they compute
    for temperature in (1, 4):
        shares = (values['logits'] / temperature).softmax(1)
        torch.testing.assert_close(shares[:, 1:], (raw / temperature).sigmoid())
    torch.testing.assert_close(values['logits'].sum(1), torch.zeros(2, 8, 8))

    sample = model.predict(images)[0]
    shares = prediction_shares(model, sample.seg_logits.data)
    assert prediction_threshold(model) == 0.4
    assert torch.equal(decide(shares, 0.4)[1], sample.pred_sem_seg.data[0].long())
    maps = model.inference(images, [sample.metainfo for sample in samples])
    torch.testing.assert_close(prediction_logits(model, maps)[0].softmax(0), shares)


def test_a_threshold_decides_and_the_probability_of_what_is_decided_is_told():
    shares = torch.tensor([[0.55, 0.8, 0.4], [0.45, 0.2, 0.6]])
    confidence, labels = decide(shares, threshold=0.3)
    assert labels.tolist() == [1, 0, 1] and torch.equal(confidence, torch.tensor([0.45, 0.8, 0.6]))
    confidence, labels = decide(shares)
    assert labels.tolist() == [0, 0, 1] and torch.equal(confidence, torch.tensor([0.55, 0.8, 0.6]))
    assert prediction_threshold(MODELS.build(toy_segmentor(4))) is None


def test_other_outputs_are_left_as_they_are():
    head, maps = PSPHead(in_channels=4, channels=4, num_classes=4), torch.randn(1, 4, 2, 2)
    assert class_logits(head, maps) is maps
    assert class_logits(head, dict(map=maps, edge=torch.randn(1, 1, 2, 2))) is maps
    assert class_logits(nn.Identity(), (maps, 'extra')) is maps  # a head that says nothing of itself
    with pytest.raises(PathError, match=r'must be a map \(N, C, h, w\), but PSPHead returns \(1, 4\)'):
        class_logits(head, torch.randn(1, 4))


def test_a_term_of_pidnet_trains_its_deployed_branch_and_can_read_what_only_training_returns():
    terms = dict(
        loss_logits=dict(student='logits', teacher='logits', loss=dict(type='PixelWiseKDLoss')),
        loss_branch=dict(student='backbone[0]', teacher='backbone', loss=dict(type='HintLoss'), weight=0.0),
    )
    model = MODELS.build(
        dict(type='Distiller', student=FAMILIES['pid'], teacher=dict(model=FAMILIES['pid']), terms=terms)
    )
    images, samples = batch()
    model.loss(images, samples)['loss_logits'].backward()
    head = model.student.decode_head
    assert head.conv_seg.weight.grad.abs().sum() > 0 and head.p_cls_seg.weight.grad is None
