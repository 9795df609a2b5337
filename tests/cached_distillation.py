"""Small distillations whose training images are random crops, and the caches of their teachers."""

import copy
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmseg.registry import MODELS

from mmseg_kd.engine.teacher_cache import Request, make_cache
from mmseg_kd.engine.views import as_views
from mmseg_kd.testing.toys import toy_segmentor
from mmseg_kd.testing.trees import write_camvid_tree

PI = dict(student='logits', teacher='logits', loss=dict(type='PixelWiseKDLoss'), weight=1.0)
TERMS = dict(
    loss_pi=PI,
    loss_cwd=dict(PI, loss=dict(type='CWDLoss', temperature=1.0)),
    loss_hint=dict(student='backbone[2]', teacher='backbone[2]', loss=dict(type='HintLoss'), weight=1.0),
)
PIPELINE = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomCrop', crop_size=(16, 16)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs'),
]


def write_config(folder: Path, images: int = 5) -> Config:
    """The config, with its images and the teacher's checkpoint in a folder."""
    init_default_scope('mmseg')
    root = write_camvid_tree(folder / 'camvid', images=images, size=(20, 24))
    teacher = toy_segmentor(8, num_classes=11, size=16)
    torch.manual_seed(1)
    network = MODELS.build(teacher)
    for module in network.modules():  # without training, logits hardly differ
        if isinstance(module, torch.nn.Conv2d) and module is network.decode_head.conv_seg:
            torch.nn.init.normal_(module.weight, std=30.0)
    torch.save(network.state_dict(), folder / 'teacher.pth')
    model = dict(
        type='Distiller',
        student=toy_segmentor(4, num_classes=11, size=16),
        teacher=dict(model=teacher, checkpoint=str(folder / 'teacher.pth')),
        terms=TERMS,
    )
    dataset = dict(
        type='CamVidDataset',
        data_root=str(root),
        data_prefix=dict(img_path='img_dir/train', seg_map_path='ann_dir/train'),
        pipeline=PIPELINE,
    )
    loader = dict(batch_size=2, num_workers=0, sampler=dict(type='InfiniteSampler', shuffle=True), dataset=dataset)
    return Config(dict(model=model, train_dataloader=loader, default_scope='mmseg'))


def paired(config: Config) -> Config:
    """The distillation with two teachers, three labeled images, and two that are mixed without their labels."""
    config = copy.deepcopy(config)
    pseudo = dict(student='logits', loss=dict(type='PseudoLabelLoss'), weight=1.0)
    teacher = config.model.teacher.to_dict()
    blank = [PIPELINE[0], dict(type='LoadBlankAnnotations'), *PIPELINE[2:]]
    dataset = dict(
        type='SemiSupervisedDataset',
        labeled=config.train_dataloader.dataset.to_dict(),
        unlabeled_pipelines=[blank, blank],
        partition=dict(fraction=0.6, seed=0),
    )
    config.model = dict(
        type='SemiSupervisedDistiller',
        student=config.model.student.to_dict(),
        teacher=dict(deep=teacher, wide=copy.deepcopy(teacher)),
        terms=dict(loss_pi=dict(PI, teacher='deep.logits')),
        unlabeled_terms=dict(
            loss_deep=dict(pseudo, teacher='deep.unmixed.logits'),
            loss_wide=dict(pseudo, teacher='wide.unmixed.logits'),
            loss_hint=dict(TERMS['loss_hint'], teacher='wide.unmixed.backbone[2]'),
            loss_mixed=dict(TERMS['loss_hint'], student='backbone[3]', teacher='wide.backbone[3]'),
        ),
        mix=dict(type='CutMix'),
    )
    config.train_dataloader = dict(config.train_dataloader, dataset=dataset)
    return config


def cache(config: Config, folder: Path, views: int = 2, **settings) -> Path:
    """A complete cache of small shards."""
    settings = dict(dict(shard_bytes=5000), **settings)
    assert make_cache(config, Request(str(folder), views, **settings), lambda text: None) == 0
    return folder


def with_cache(config: Config, folder: Path, **settings) -> Config:
    """The config with a cache beside the teacher."""
    config = copy.deepcopy(config)
    config.model.teacher.cache = str(folder)
    config.merge_from_dict(settings)
    return config


def batch_of(config: Config, views: int, seed: int = 0) -> dict:
    """A batch of two images in a view."""
    loader = as_views(copy.deepcopy(config.train_dataloader.to_dict()), views, seed)
    dataset = Runner.build_dataloader(loader, seed=0).dataset
    items = [dataset.view(image, number) for image, number in ((0, views - 1), (3, 0))]
    return {key: [item[key] for item in items] for key in ('inputs', 'data_samples')}


def files(folder: Path) -> dict[str, bytes]:
    """What a cache holds, without the times that it took."""
    return {
        path.name: path.read_bytes()
        for path in sorted(folder.rglob('*'))
        if path.is_file() and not path.name.startswith('view') or path.suffix == '.safetensors'
    }
