"""Every kind of teacher with every kind of student, as docs/pairs.md says.

``MMSEG_KD_UPDATE_DOCS=1 python -m pytest tests/distillers/test_pairs.py`` writes the page.
"""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.model import BaseModule, revert_sync_batchnorm
from mmengine.structures import PixelData
from mmseg.models.decode_heads import Mask2FormerHead
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import nn

from mmseg_kd.distillers import Distiller
from mmseg_kd.distillers.dry_run import build_skeleton
from mmseg_kd.distillers.teacher import FrozenTeacher
from mmseg_kd.io.configs import config_file
from mmseg_kd.testing.hf_networks import write_hf_network
from mmseg_kd.testing.toys import toy_batch, toy_segmentor

transformers = pytest.importorskip('transformers')

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / 'docs' / 'pairs.md'
CLASSES = [f'class {i}' for i in range(5)]


class TeacherKind(NamedTuple):
    """A row of the page.

    Args:
        name: What the page calls it.
        features: The path of features; None if it has none.
        spec: How a config names it.
    """

    name: str
    features: str | None
    spec: str


class StudentKind(NamedTuple):
    """A column of the page.

    Args:
        name: What the page calls it.
        features: The path of features.
        base: Its config; None if it is built here.
    """

    name: str
    features: str
    base: str | None = None


TEACHERS = dict(
    pspnet=TeacherKind(
        'PSPNet on ResNet',
        'backbone[3]',
        "`config='mmseg::pspnet/pspnet_r101-d8_4xb2-80k_cityscapes-512x1024.py', checkpoint='auto'`",
    ),
    segformer=TeacherKind(
        'SegFormer-B5',
        'backbone[3]',
        "`config='mmseg::segformer/segformer_mit-b5_8xb1-160k_cityscapes-1024x1024.py', checkpoint='auto'`",
    ),
    mask2former=TeacherKind(
        'Mask2Former of MMSegmentation',
        'backbone[3]',
        "`config='mmseg::mask2former/mask2former_swin-l-in22k-384x384-pre_8xb2-90k_cityscapes-512x1024.py', "
        "checkpoint='auto'`",
    ),
    hf_segformer=TeacherKind(
        'logits of Hugging Face: SegFormer',
        'backbone.network.decode_head.linear_fuse',
        "`model=dict(type='HFSegmentor', pretrained='nvidia/segformer-b5-finetuned-cityscapes-1024-1024', ...)`",
    ),
    eomt=TeacherKind(
        'queries of Hugging Face: EoMT',
        'backbone.network.upscale_block',
        "`config='mmseg_kd::teachers/eomt_l_cityscapes.py'`",
    ),
    oneformer=TeacherKind(
        'queries of Hugging Face: OneFormer',
        'backbone.network.model.pixel_level_module.decoder.mask_projection',
        "`config='mmseg_kd::teachers/oneformer_swinl_cityscapes.py'`",
    ),
    lite2=TeacherKind(
        'EfficientNet-Lite2',
        'backbone[3]',
        "`config='mmseg_kd::camvid/lite2_camvid.py', checkpoint='work_dirs/lite2_camvid/iter_2000.pth'`",
    ),
    ensemble=TeacherKind('ensemble', None, '`[dict(...), dict(...)]`, a list of any of these'),
)
STUDENTS = dict(
    pidnet_s=StudentKind('PIDNet-S', 'backbone[1]', 'deploy/pidnet_s_ade20k.py'),
    ddrnet_23_slim=StudentKind('DDRNet-23-slim', 'backbone[1]', 'deploy/ddrnet_23_slim_ade20k.py'),
    bisenetv2=StudentKind('BiSeNetV2', 'backbone[0]', 'deploy/bisenetv2_ade20k.py'),
    stdc1=StudentKind('STDC1', 'backbone[3]', 'deploy/stdc1_ade20k.py'),
    segformer_b0=StudentKind('SegFormer-B0', 'backbone[3]', 'deploy/segformer_b0_ade20k.py'),
    segnext_t=StudentKind('SegNeXt-T', 'backbone[3]', 'deploy/segnext_t_ade20k.py'),
    mobilenetv3=StudentKind('MobileNetV3 with LR-ASPP', 'backbone[2]', 'deploy/mobilenetv3_lraspp_ade20k.py'),
    mobilenetv4=StudentKind('MobileNetV4 of timm', 'backbone[3]', 'deploy/mobilenetv4_s_ade20k.py'),
    efficientvit=StudentKind('EfficientViT of timm', 'backbone[3]', 'deploy/efficientvit_b1_ade20k.py'),
    compact=StudentKind('compact network', 'backbone[4]', '_base_/models/compact.py'),
    hf=StudentKind('`HFBackbone`: DINOv2', 'backbone[3]'),
)


@MODELS.register_module()
class ToyMask2FormerHead(Mask2FormerHead):
    """Queries for MMSegmentation's own ``predict``. Its real head needs mmdet and compiled operators."""

    def __init__(self):
        BaseModule.__init__(self)
        self.num_classes = self.out_channels = len(CLASSES)
        self.align_corners, self.ignore_index = False, 255
        self.classes, self.masks = nn.Linear(64, 3 * (len(CLASSES) + 1)), nn.Conv2d(64, 3, 1)

    def forward(self, features, batch_data_samples):
        classes = self.classes(features[-1].mean((2, 3))).unflatten(1, (3, -1))
        return [classes], [self.masks(features[-1])]


def small(node):
    """A network for five classes and 64x64 images that downloads nothing."""
    if isinstance(node, (list, tuple)):
        return type(node)(map(small, node))
    if not isinstance(node, dict):
        return node
    node = {key: small(value) for key, value in node.items()}
    if node.get('num_classes', 2) != 2:  # two are those of STDC's boundaries
        node['num_classes'] = len(CLASSES)
    if 'pretrained' in node:
        node['pretrained'] = False if node.get('type') == 'TIMMBackbone' else None
    if 'init_cfg' in node:
        node['init_cfg'] = None
    if node.get('type') == 'SegDataPreProcessor':
        node['size'] = (64, 64)
    return node


@pytest.fixture(scope='module')
def networks(tmp_path_factory):
    """The arguments of each teacher, and a network that DINOv2's configs can name."""
    folder = tmp_path_factory.mktemp('networks')
    segformer = small(
        Config.fromfile(config_file('mmseg::segformer/segformer_mit-b5_8xb2-160k_ade20k-512x512.py')).model
    )
    segformer['backbone'].update(embed_dims=8, num_layers=[1] * 4)
    segformer['decode_head'].update(in_channels=[8, 16, 40, 64], channels=16)
    lite2 = small(Config.fromfile(ROOT / 'configs/_base_/models/segformer_lite2.py').model)
    pspnet = toy_segmentor(num_classes=len(CLASSES), size=64, auxiliary=False)
    models = dict(
        pspnet=pspnet,
        segformer=segformer,
        mask2former=dict(pspnet, decode_head=dict(type='ToyMask2FormerHead')),
        lite2=lite2,
    )
    for name, kind in (('hf_segformer', 'segformer'), ('eomt', 'eomt'), ('oneformer', 'oneformer')):
        pretrained = str(write_hf_network(folder / name, kind, CLASSES))
        models[name] = dict(type='HFSegmentor', pretrained=pretrained, classes=CLASSES)
    teachers = {name: dict(model=model) for name, model in models.items()}
    vit = transformers.Dinov2Config(
        hidden_size=16, num_hidden_layers=4, num_attention_heads=2, image_size=56, patch_size=14
    )
    transformers.Dinov2Model(vit).save_pretrained(folder / 'dinov2')
    return dict(teachers, ensemble=[teachers['pspnet'], teachers['eomt']]), str(folder / 'dinov2')


@pytest.fixture
def built_once(monkeypatch):
    """Teachers that are the same for each student, and LR-ASPP's window for small images."""
    monkeypatch.setattr(FrozenTeacher, '_build', lambda self: once('network', self.model_config, lambda: BUILD(self)))
    monkeypatch.setattr(
        'mmseg_kd.distillers.teacher.build_skeleton',
        lambda config: once('skeleton', config, lambda: build_skeleton(config)),
    )
    layers = SimpleNamespace(**{**vars(nn), 'AvgPool2d': lambda **_: nn.AvgPool2d(2)})
    monkeypatch.setattr('mmseg.models.decode_heads.lraspp_head.nn', layers)


BUILD, BUILT = FrozenTeacher._build, {}


def once(kind, config, build):
    key = kind, str(config)
    if key not in BUILT:
        BUILT[key] = build()
    return BUILT[key]


def student_config(name, dinov2):
    if STUDENTS[name].base:
        return small(Config.fromfile(ROOT / 'configs' / STUDENTS[name].base).model)
    student = toy_segmentor(num_classes=len(CLASSES), size=64, auxiliary=False)
    return dict(
        student,
        backbone=dict(type='HFBackbone', pretrained=dinov2, out_indices=(1, 2, 3, 4)),
        neck=dict(type='Feature2Pyramid', embed_dim=16, rescales=[4, 2, 1, 0.5], norm_cfg=dict(type='BN')),
        decode_head=dict(
            type='SegformerHead', in_channels=[16] * 4, in_index=[0, 1, 2, 3], channels=8, num_classes=len(CLASSES)
        ),
    )


def terms_for(student):
    """Two terms for each teacher: logits, and features where the teacher has some."""
    terms = {}
    for name, teacher in TEACHERS.items():
        kd, hint = dict(type='PixelWiseKDLoss', temperature=2.0), dict(type='HintLoss')
        terms[f'loss_logits_{name}'] = dict(student='logits', teacher=f'{name}.logits', loss=kd)
        if teacher.features:
            terms[f'loss_features_{name}'] = dict(
                student=student.features, teacher=f'{name}.{teacher.features}', loss=hint
            )
    return terms


@pytest.mark.parametrize('name', STUDENTS)
def test_it_learns_from_every_teacher_by_logits_and_features_and_predicts_images_of_any_size(
    name, networks, built_once
):
    teachers, dinov2 = networks
    config = student_config(name, dinov2)
    model = revert_sync_batchnorm(Distiller(ConfigDict(config), teachers, terms_for(STUDENTS[name]))).train()
    data = toy_batch(2, 64, len(CLASSES))
    for sample in data['data_samples']:
        sample.gt_edge_map = PixelData(data=(sample.gt_sem_seg.data == 1).long())
    data = model.data_preprocessor(data, training=True)
    losses = model(**data, mode='loss')
    classifiers = [p for p in model.decode_head.parameters() if p.dim() == 4 and len(p) == len(CLASSES)]
    for term in terms_for(STUDENTS[name]):
        value = losses[term]
        assert torch.isfinite(value) and value > 0, term
        if 'logits' in term:
            grads = torch.autograd.grad(value, classifiers, retain_graph=True, allow_unused=True)
            assert any(grad is not None and grad.abs().sum() > 0 for grad in grads), term
    sum(value for key, value in losses.items() if 'loss' in key).backward()
    grads = [p.grad for p in model.parameters() if p.grad is not None]
    assert all(torch.isfinite(grad).all() for grad in grads) and grads[0].abs().sum() > 0
    adapters = [p for term in model.terms.values() for p in term.adapters.parameters()]
    assert adapters and all(p.grad.abs().sum() > 0 for p in adapters)

    size = (75, 101)
    sample = SegDataSample(metainfo=dict(img_shape=size, ori_shape=size))
    image = torch.randint(0, 256, (3, *size), dtype=torch.uint8)
    (predicted,) = model.eval().test_step(dict(inputs=[image], data_samples=[sample]))
    assert predicted.seg_logits.data.shape == (len(CLASSES), *size)


def test_features_of_an_ensemble_are_refused_with_the_way_to_read_one_of_its_teachers(networks):
    terms = dict(loss_hint=dict(student='backbone[3]', teacher='backbone[3]', loss=dict(type='HintLoss')))
    with pytest.raises(ValueError, match='an ensemble has "logits" only.*teacher=dict'):
        Distiller(toy_segmentor(num_classes=len(CLASSES)), networks[0]['ensemble'], terms)


def page():
    lines = [
        '# Teachers and students',
        '',
        'Every kind of teacher can teach every kind of student. The test that builds these pairs and takes a training step with each of them '
        'writes this\npage. It uses small random teachers of the same classes.',
        '',
        '- **logits**: any term on `logits`, such as `pi`, `cwd`, `dist`.',
        '- **features**: a term on feature maps as well, such as `fitnet`. An adapter fits the channels, and maps are resized.',
        '',
        '| student | ' + ' | '.join(teacher.name for teacher in TEACHERS.values()) + ' |',
        '|---' * (len(TEACHERS) + 1) + '|',
    ]
    cells = ['logits, features' if teacher.features else 'logits[^one]' for teacher in TEACHERS.values()]
    lines += [f'| {student.name} | ' + ' | '.join(cells) + ' |' for student in STUDENTS.values()]
    lines += [
        '',
        "[^one]: The mean of several teachers' probabilities has no features. Name the teachers to read one of them:",
        '    `teacher=dict(first=dict(...), second=dict(...))`, with the path `first.backbone[3]`.',
        '',
        '## What they need',
        '',
        '- PIDNet: `GenerateEdge` in the training pipeline, as in `configs/deploy/pidnet_s_ade20k.py`.',
        '- PIDNet, DDRNet: crops whose sides are multiples of 8, and `data_preprocessor.test_cfg=dict(size_divisor=8)` for '
        'test images of other\n  sizes.',
        '- LR-ASPP: images of 385x385 pixels at least.',
        '- EoMT: features only from square images. Its logits come from images of any size, in windows.',
        '- Mask2Former of MMSegmentation: mmdet, and the compiled operators of mmcv. The test has a stand-in for its queries.',
        '',
        '## How a config names a teacher',
        '',
        '| teacher | in `teacher=dict(...)` | path of features |',
        '|---|---|---|',
    ]
    lines += [f'| {t.name} | {t.spec} | {f"`{t.features}`" if t.features else "none"} |' for t in TEACHERS.values()]
    lines += [
        '',
        '[Distil your own model](own_model.md) shows whole configs, and teachers of other classes. `configs/deploy` has configs of these students.',
        '',
    ]
    return '\n'.join(lines)


def test_the_page_is_current():
    if os.environ.get('MMSEG_KD_UPDATE_DOCS'):
        PAGE.write_text(page(), encoding='utf-8')
    assert PAGE.read_text(encoding='utf-8') == page(), 'write the page with MMSEG_KD_UPDATE_DOCS=1'
