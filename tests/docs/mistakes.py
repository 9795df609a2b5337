"""Mistakes in configs: each is one change of a good config, or one file, with the key that the message must name."""

import argparse
import copy
from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmengine.config import Config, ConfigDict
from mmseg.registry import MODELS
from torch.utils.data import DataLoader

from mmseg_kd.engine.checks import check_data_classes
from mmseg_kd.engine.launch import check_settings, load_config
from mmseg_kd.io.checkpoint import load_weights
from mmseg_kd.io.command_line import add_arguments
from mmseg_kd.io.errors import ConfigError
from mmseg_kd.testing.toys import ToyDataset, toy_batch, toy_segmentor

GONE = object()  # in place of a value: the key is removed
NAN, INF = float('nan'), float('inf')


class Case(NamedTuple):
    """A mistake.

    Args:
        path: Key that is changed, or a description of the mistake.
        value: Its new value.
        named: What the message must name; the key itself by default.
    """

    path: str
    value: Any
    named: str = ''


def good_config() -> Config:
    """A training config without mistakes, of small networks and of data that nothing reads."""
    features = dict(student='backbone[3]', teacher='backbone[3]')
    logits = dict(student='logits', teacher='logits')
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='LoadAnnotations'),
        dict(type='RandomCrop', crop_size=(32, 32), cat_max_ratio=0.75),
        dict(type='RandomFlip', prob=0.5),
        dict(type='PackSegInputs'),
    ]
    data = dict(type='CityscapesDataset', data_root='data/cityscapes', pipeline=pipeline)
    return Config(
        dict(
            default_scope='mmseg',
            launcher='none',
            model=dict(
                type='Distiller',
                student=toy_segmentor(4, auxiliary=False),
                teacher=dict(model=toy_segmentor(4, auxiliary=False), scale=1.0),
                terms=dict(
                    loss_pi=dict(logits, loss=dict(type='PixelWiseKDLoss', temperature=4.0), weight=0.1),
                    loss_cwd=dict(
                        logits, loss=dict(type='CWDLoss'), weight=dict(type='WarmupWeight', weight=3.0, iters=10)
                    ),
                    loss_hint=dict(features, loss=dict(type='HintLoss'), adapter=dict(type='ConvAdapter')),
                    loss_edge=dict(logits, loss=dict(type='OnEdges', kernel=3, loss=dict(type='PixelWiseKDLoss'))),
                ),
            ),
            train_dataloader=dict(
                batch_size=2, num_workers=0, sampler=dict(type='InfiniteSampler', shuffle=True), dataset=data
            ),
            val_dataloader=dict(batch_size=1, sampler=dict(type='DefaultSampler', shuffle=False), dataset=data),
            train_cfg=dict(type='IterBasedTrainLoop', max_iters=100, val_interval=50),
            val_cfg=dict(type='ValLoop'),
            val_evaluator=dict(type='IoUMetric', iou_metrics=['mIoU']),
            optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.01, momentum=0.9)),
            param_scheduler=[dict(type='PolyLR', power=0.9, eta_min=1e-4, begin=0, end=100, by_epoch=False)],
            default_hooks=dict(
                logger=dict(type='LoggerHook', interval=10, log_metric_by_epoch=False),
                checkpoint=dict(type='CheckpointHook', interval=50, by_epoch=False, save_best='mIoU'),
            ),
            custom_hooks=[dict(type='NonFiniteLossHook', interval=50)],
        )
    )


def changed(path: str, value: Any) -> Config:
    """The good config with another value under a key."""
    config = good_config()
    *parents, last = path.split('.')
    node: Any = config._cfg_dict
    for name in parents:
        node = node[int(name)] if isinstance(node, list) else node[name]
    if value is GONE:
        del node[last]
    elif isinstance(node, list):
        node[int(last)] = value
    else:
        node[last] = ConfigDict(value) if type(value) is dict else value
    return config


def start(config: Config) -> None:
    """What a tool does with a config before the data are read."""
    check_settings(config)
    MODELS.build(copy.deepcopy(config.model))


T = 'model.terms'
PI = f'{T}.loss_pi'
KD = dict(student='logits', teacher='logits', loss=dict(type='PixelWiseKDLoss'))
CASES: dict[str, list[Case]] = {
    'Terms': [
        Case(PI, 'cwd'),
        Case(PI, None),
        Case(PI, 0.1),
        Case(PI, []),
        Case(PI, dict(student='logits', teacher='logits'), f'{PI} needs loss'),
        Case(PI, dict(student='logits', loss=dict(type='CWDLoss')), f'{PI} needs teacher'),
        Case(PI, dict(teacher='logits', loss=dict(type='CWDLoss')), f'{PI} needs student'),
        Case(f'{PI}.wieght', 0.1),
        Case(f'{PI}.temperature', 4.0),
        Case(f'{PI}.losses', dict(type='CWDLoss')),
        Case(f'{T}.loss', dict(student='logits', teacher='logits', loss=dict(type='CWDLoss'))),
        Case(f'{T}.cwd', dict(student='logits', teacher='logits', loss=dict(type='CWDLoss'))),
        Case(
            f'{T}.loss_cwd_weight', dict(student='logits', teacher='logits', loss=dict(type='CWDLoss')), f'{T}.loss_cwd'
        ),
        Case(T, []),
        Case(T, 'cwd'),
        Case(T, dict(), T),
        Case(f'{PI}.student', 3),
        Case(f'{PI}.student', None),
        Case(f'{PI}.student', ['logits', 3], f'{PI}.student.1'),
        Case(f'{PI}.student', 'logit'),
        Case(f'{PI}.student', 'backbone.layer9'),
        Case(f'{PI}.student', 'backbone[9]'),
        Case(f'{PI}.student', 'backbone[x]'),
        Case(f'{PI}.student', 'backbone[3.5]'),
        Case(f'{PI}.student', 'decode_head.conv_segg'),
        Case(f'{PI}.student', 'backbone'),
        Case(f'{PI}.teacher', 'teacher.logits'),
        Case(f'{PI}.teacher', dict(path='logits')),
        Case(f'{PI}.teacher', ''),
    ],
    'Weights and schedules': [
        Case(f'{PI}.weight', '0.1'),
        Case(f'{PI}.weight', None),
        Case(f'{PI}.weight', [0.1]),
        Case(f'{PI}.weight', NAN),
        Case(f'{PI}.weight', INF),
        Case(f'{PI}.weight', True),
        Case(f'{PI}.weight', -1),
        Case(f'{PI}.weight', 'high'),
        Case(f'{PI}.weight', dict(weight=2.0, begin=10)),
        Case(f'{PI}.weight', dict(type='DelayWeight', weight=2.0, begin=10), f'{PI}.weight.type'),
        Case(f'{PI}.weight', dict(type='DelayedWeight', weight=2.0), f'{PI}.weight'),
        Case(f'{PI}.weight', dict(type='DelayedWeight', weight=2.0, start=10), f'{PI}.weight.start'),
        Case(f'{PI}.weight', dict(type='DelayedWeight', weight='2', begin=10), f'{PI}.weight.weight'),
        Case(f'{PI}.weight', dict(type='DelayedWeight', weight=2.0, begin='10'), f'{PI}.weight.begin'),
        Case(f'{PI}.weight', dict(type='DelayedWeight', weight=2.0, begin=1.5), f'{PI}.weight.begin'),
        Case(f'{PI}.weight', dict(type='DelayedWeight', weight=2.0, begin=None), f'{PI}.weight.begin'),
        Case(f'{PI}.weight', dict(type='DelayedWeight', weight=-2.0, begin=10), f'{PI}.weight.weight'),
        Case(f'{PI}.weight', dict(type='DelayedWeight', weight=2.0, begin=100), f'{PI}.weight'),
        Case(f'{PI}.weight', dict(type='DelayedWeight', weight=2.0, begin=5000), f'{PI}.weight'),
        Case(f'{PI}.weight', dict(type='WarmupWeight', weight=2.0, iters=10, begin=1000), f'{PI}.weight'),
        Case(f'{PI}.weight', dict(type='WarmupWeight', weight=2.0, iters=0), f'{PI}.weight.iters'),
        Case(f'{PI}.weight', dict(type='WarmupWeight', weight=2.0, iter=10), f'{PI}.weight.iter'),
        Case(f'{PI}.weight', dict(type='CosineDecayWeight', weight=NAN, iters=10), f'{PI}.weight.weight'),
        Case(f'{PI}.weight', dict(type='CutoffWeight', weight=2.0, end='last'), f'{PI}.weight.end'),
        Case(f'{PI}.weight', dict(type='CutoffWeight', weight=2.0, end=0), f'{PI}.weight'),
        Case(f'{T}.loss_cwd.weight.iters', [10]),
        Case(f'{PI}.weight', dict(type='GradientShare'), f'{PI}.weight'),
        Case(f'{PI}.weight', dict(type='GradientShare', share=1.2), f'{PI}.weight.share'),
        Case(f'{PI}.weight', dict(type='GradientShare', share=30), f'{PI}.weight.share'),
        Case(f'{PI}.weight', dict(type='GradientShare', share='0.3'), f'{PI}.weight.share'),
        Case(f'{PI}.weight', dict(type='GradientShare', share=0.3, weight=3.0), f'{PI}.weight.weight'),
        Case(f'{PI}.weight', dict(type='GradientShare', share=0.3, limits=(10, 1)), f'{PI}.weight.limits'),
        Case(f'{PI}.weight', dict(type='GradientShare', share=dict(weight=0.3)), f'{PI}.weight.share'),
        Case(
            f'{PI}.weight', dict(type='GradientShare', share=dict(type='PhaseWeight', weight=2.0)), f'{PI}.weight.share'
        ),
        Case(
            f'{PI}.weight',
            dict(type='GradientShare', share=dict(type='DelayedWeight', weight=0.3, begin=100)),
            f'{PI}.weight.share',
        ),
        Case(
            T,
            {f'loss_{x}': dict(KD, weight=dict(type='GradientShare', share=0.6)) for x in 'ab'},
            f'{T}.loss_a.weight.share + {T}.loss_b.weight.share',
        ),
        Case(f'{PI}.weight', dict(type='PhaseWeight', weight=2.0, begin=1000), f'{PI}.weight'),
        Case(f'{PI}.weight', dict(type='PhaseWeight', weight=2.0, rise=0.6, fall=0.6), f'{PI}.weight'),
    ],
    'Losses': [
        Case(f'{PI}.loss', 'CWDLoss'),
        Case(f'{PI}.loss', ['CWDLoss']),
        Case(f'{PI}.loss', None),
        Case(f'{PI}.loss', dict(temperature=4.0)),
        Case(f'{PI}.loss', dict(type='CWDLos'), f'{PI}.loss.type'),
        Case(f'{PI}.loss', dict(type='cwdloss'), f'{PI}.loss.type'),
        Case(f'{PI}.loss', dict(type='ChannelWiseDistillation'), f'{PI}.loss.type'),
        Case(f'{PI}.loss', dict(type=3), f'{PI}.loss.type'),
        Case(f'{PI}.loss', dict(type='CrossEntropyLoss')),
        Case(f'{PI}.loss', dict(type='DiceLoss')),
        Case(f'{PI}.loss', dict(type='KLDivLoss')),
        Case(f'{PI}.loss', dict(type='ReLU')),
        Case(f'{PI}.loss', dict(type='BN')),
        Case(f'{PI}.loss', dict(type='PSPHead')),
        Case(f'{PI}.loss.temperature', '4'),
        Case(f'{PI}.loss.temperature', None),
        Case(f'{PI}.loss.temperature', [4.0]),
        Case(f'{PI}.loss.temperature', NAN),
        Case(f'{PI}.loss.temperature', INF),
        Case(f'{PI}.loss.temperature', True),
        Case(f'{PI}.loss.temperature', 0),
        Case(f'{PI}.loss.temperature', -4),
        Case(f'{PI}.loss.temperature', dict(value=4)),
        Case(f'{PI}.loss.temprature', 4.0),
        Case(f'{PI}.loss.tau', 4.0),
        Case(f'{PI}.loss.loss_weight', 1.0),
        Case(f'{T}.loss_hint.loss', dict(type='AttnFDLoss', kernel='3'), f'{T}.loss_hint.loss.kernel'),
        Case(f'{PI}.loss', dict(type='DKDLoss', alpha=-1), f'{PI}.loss'),
        Case(f'{PI}.loss', dict(type='DKDLoss', beta='2'), f'{PI}.loss.beta'),
        Case(f'{PI}.loss', dict(type='DISTLoss', inter=None), f'{PI}.loss.inter'),
        Case(f'{PI}.loss', dict(type='BPKDLoss', kernel=4), f'{PI}.loss.kernel'),
        Case(f'{PI}.loss', dict(type='BPKDLoss', kernel=3.5), f'{PI}.loss.kernel'),
        Case(f'{PI}.loss', dict(type='PairWiseKDLoss', kernel=0), f'{PI}.loss.kernel'),
        Case(f'{PI}.loss', dict(type='RegionContentLoss', grid=True), f'{PI}.loss.grid'),
        Case(f'{PI}.loss', dict(type='HolisticKDLoss', penalty=-1), f'{PI}.loss'),
        Case(f'{PI}.loss', dict(type='HolisticKDLoss'), f'{PI}.loss'),
    ],
    'Masks and adapters': [
        Case(f'{T}.loss_edge.loss.loss', 'PixelWiseKDLoss'),
        Case(f'{T}.loss_edge.loss.loss', None),
        Case(f'{T}.loss_edge.loss.loss', GONE, f'{T}.loss_edge.loss'),
        Case(f'{T}.loss_edge.loss.loss', dict(type='PixelWiseKD'), f'{T}.loss_edge.loss.loss.type'),
        Case(f'{T}.loss_edge.loss.loss', dict(type='DiceLoss')),
        Case(f'{T}.loss_edge.loss.loss.temperature', -1),
        Case(f'{T}.loss_edge.loss.loss.temperature', '1'),
        Case(f'{T}.loss_edge.loss.kernel', 4),
        Case(f'{T}.loss_edge.loss.kernel', '3'),
        Case(f'{T}.loss_edge.loss.kernl', 3),
        Case(f'{PI}.loss', dict(type='OnClasses', only=3, loss=dict(type='CWDLoss')), f'{PI}.loss.only'),
        Case(f'{PI}.loss', dict(type='OnClasses', only=['road'], loss=dict(type='CWDLoss')), f'{PI}.loss.only.0'),
        Case(f'{PI}.loss', dict(type='OnClasses', only=[], loss=dict(type='CWDLoss')), f'{PI}.loss.only'),
        Case(f'{PI}.loss', dict(type='OnClasses', only=[1.5], loss=dict(type='CWDLoss')), f'{PI}.loss.only.0'),
        Case(f'{PI}.loss', dict(type='OnClasses', only=[99], loss=dict(type='CWDLoss')), f'{PI}'),
        Case(f'{PI}.loss', dict(type='OnConfident', threshold=2, loss=dict(type='CWDLoss')), f'{PI}.loss.threshold'),
        Case(f'{PI}.loss', dict(type='OnConfident', threshold='.9', loss=dict(type='CWDLoss')), f'{PI}.loss.threshold'),
        Case(f'{PI}.loss', dict(type='OnConfident', loss=dict(type='CWDLoss')), f'{PI}.loss needs threshold'),
        Case(f'{T}.loss_hint.adapter', 'ConvAdapter'),
        Case(f'{T}.loss_hint.adapter', [dict(type='ConvAdapter')]),
        Case(f'{T}.loss_hint.adapter', dict(type='ConvAdaptor'), f'{T}.loss_hint.adapter.type'),
        Case(f'{T}.loss_hint.adapter', dict(kernel_size=1)),
        Case(f'{T}.loss_hint.adapter.kernel', 3),
        Case(f'{T}.loss_hint.adapter', dict(type='DelayedWeight')),
    ],
    'Student and teachers': [
        Case('model.student', 'pspnet.py'),
        Case('model.student', None),
        Case('model.student', GONE, 'model needs student'),
        Case('model.student', dict(), 'model.student needs a type'),
        Case('model.student.type', 'EncoderDecodr'),
        Case('model.student.backbon', dict(type='ResNet')),
        Case('model.student.backbone.type', 'ResNetV1'),
        Case('model.student.backbone.type', 'ResNet18'),
        Case('model.student.backbone.detph', 18),
        Case('model.student.decode_head.type', 'PSPHed'),
        Case('model.student.decode_head.num_class', 4),
        Case('model.student.decode_head.loss_decode.type', 'CrossEntropy'),
        Case('model.student.data_preprocessor.type', 'SegDataPreprocessor'),
        Case('model.student.data_preprocessor.means', [0, 0, 0]),
        Case('model.student.data_preprocessor.size', None, 'data_preprocessor'),
        Case('model.students', dict(type='EncoderDecoder')),
        Case('model.type', 'Distiler'),
        Case('model.type', GONE, 'model needs a type'),
        Case('model.unlabeled_terms', dict()),
        Case('model.teachers', dict()),
        Case('model.teacher', GONE, 'model needs teacher'),
        Case('model.teacher', 'teacher.py'),
        Case('model.teacher', None),
        Case('model.teacher', [], 'model.teacher'),
        Case('model.teacher', dict(), 'model.teacher'),
        Case('model.teacher', toy_segmentor(4), 'model.teacher'),
        Case('model.teacher', dict(model='EncoderDecoder'), 'model.teacher.model'),
        Case('model.teacher', dict(model=dict(type='EncoderDecodr')), 'model.teacher.model.type'),
        Case('model.teacher', dict(model=dict(backbone=3)), 'model.teacher.model'),
        Case('model.teacher.scale', 0),
        Case('model.teacher.scale', '2'),
        Case('model.teacher.scale', NAN),
        Case('model.teacher.scale', None),
        Case('model.teacher.pixels', 'file'),
        Case('model.teacher.dtype', 'half'),
        Case('model.teacher.dtype', 16),
        Case('model.teacher.memory_format', 'nhwc'),
        Case('model.teacher.memory_format', True),
        Case('model.teacher.checkpont', 'a.pth'),
        Case('model.teacher.checkpoint', 3),
        Case('model.teacher.checkpoint', ['a.pth']),
        Case('model.teacher.weights', 'a.pth'),
        Case('model.teacher.config', 'teacher.py', 'model.teacher'),
        Case('model.teacher', dict(config=3), 'model.teacher.config'),
        Case('model.teacher', dict(config='nowhere.py', checkpoint=3), 'model.teacher.checkpoint'),
        Case('model.teacher', dict(model=toy_segmentor(4, num_classes=7)), f'{PI}'),
        Case('model.teacher', dict(deep=dict(model=toy_segmentor(4)), wide=3), 'model.teacher'),
        Case(
            'model.teacher', dict(deep=dict(model=toy_segmentor(4)), wide=dict(modl=dict())), 'model.teacher.wide.modl'
        ),
        Case('model.teacher', dict(deep=dict(model=toy_segmentor(4))), 'teacher'),
    ],
    'Data': [
        Case('train_dataloader', 'cityscapes'),
        Case('train_dataloader.batchsize', 2),
        Case('train_dataloader.batch_size', '2'),
        Case('train_dataloader.batch_size', 0),
        Case('train_dataloader.batch_size', 2.5),
        Case('train_dataloader.num_workers', -1),
        Case('train_dataloader.num_workers', '4'),
        Case('train_dataloader.num_worker', 4),
        Case('train_dataloader.pin_memory', 'yes'),
        Case('train_dataloader.drop_last', 1),
        Case('train_dataloader.shuffle', 'True'),
        Case('train_dataloader.sampler', 'InfiniteSampler'),
        Case('train_dataloader.sampler', GONE, 'train_dataloader needs sampler'),
        Case('train_dataloader.sampler.type', 'InfiniteSampeler'),
        Case('train_dataloader.sampler.shufle', True),
        Case('train_dataloader.sampler.shuffle', 'True'),
        Case('train_dataloader.dataset', GONE, 'train_dataloader needs dataset'),
        Case('train_dataloader.dataset', 'cityscapes'),
        Case('train_dataloader.dataset.type', 'CityScapesDatset'),
        Case('train_dataloader.dataset.dataroot', 'data'),
        Case('train_dataloader.dataset.pipeline.0.type', 'LoadImageFromFiles'),
        Case('train_dataloader.dataset.pipeline.2.cropsize', (32, 32)),
        Case('train_dataloader.dataset.pipeline.2.cat_max_ratio', '0.75'),
        Case('train_dataloader.dataset.pipeline.3.probability', 0.5),
        Case(
            'train_dataloader.dataset.pipeline.4', dict(type='PackSegInput'), 'train_dataloader.dataset.pipeline.4.type'
        ),
        Case('train_dataloader.dataset.reduce_zero_label', 'False'),
        Case('train_dataloader.dataset.test_mode', 'no'),
        Case('val_dataloader.sampler.type', 'DefaultSamplr'),
        Case('val_dataloader.sampler', dict(type='InfiniteSampler'), 'val_dataloader.sampler'),
        Case('val_dataloader.dataset.typ', 'x'),
        Case('val_dataloader', None, 'val_dataloader'),
    ],
    'Training': [
        Case('train_cfg', 'IterBasedTrainLoop'),
        Case('train_cfg.type', 'IterBasedTrainLop'),
        Case('train_cfg.max_iters', -1),
        Case('train_cfg.max_iters', 0),
        Case('train_cfg.max_iters', '100'),
        Case('train_cfg.max_iters', None),
        Case('train_cfg.max_iter', 100),
        Case('train_cfg.max_epochs', 100),
        Case('train_cfg.val_interval', 0),
        Case('train_cfg.val_interval', '50'),
        Case('train_cfg.val_begin', -1),
        Case('val_cfg.type', 'ValidationLoop'),
        Case('val_cfg', None, 'val_cfg'),
        Case('val_evaluator', None, 'val_evaluator'),
        Case('val_evaluator.type', 'IoUMetrics'),
        Case('val_evaluator.metrics', ['mIoU']),
        Case('optim_wrapper', 'SGD'),
        Case('optim_wrapper', dict(type='OptimWrapper'), 'optim_wrapper needs optimizer'),
        Case('optim_wrapper.type', 'OptimWraper'),
        Case('optim_wrapper.optimzer', dict(type='SGD')),
        Case('optim_wrapper.optimizer.type', 'SDG'),
        Case('optim_wrapper.optimizer.lr', '0.01'),
        Case('optim_wrapper.optimizer.lr', 0),
        Case('optim_wrapper.optimizer.lr', -0.01),
        Case('optim_wrapper.optimizer.lr', NAN),
        Case('optim_wrapper.optimizer.lr', None),
        Case('optim_wrapper.optimizer.lr', [0.01]),
        Case('optim_wrapper.optimizer.momentun', 0.9),
        Case('optim_wrapper.optimizer.betas', (0.9, 0.99)),
        Case('optim_wrapper.clip_gradient', dict(max_norm=1)),
        Case('param_scheduler.0.type', 'PolyLr'),
        Case('param_scheduler.0.type', 'StepwiseLR'),
        Case('param_scheduler.0.powr', 0.9),
        Case('param_scheduler.0.end', '100'),
        Case('param_scheduler.0.power', '0.9'),
        Case('param_scheduler.0.by_epoch', True),
        Case('param_scheduler', 'PolyLR'),
        Case('custom_hooks', dict(type='TermWeightHook')),
        Case('custom_hooks', ['TermWeightHook'], 'custom_hooks.0'),
        Case('custom_hooks.0.type', 'NonFiniteLosHook'),
        Case('custom_hooks.0.interval', '50'),
        Case('custom_hooks.0.interval', None),
        Case('custom_hooks.0.intervall', 50),
        Case('custom_hooks', [dict(type='MeanTeacherHook', momentum='0.99')], 'custom_hooks.0.momentum'),
        Case('custom_hooks', [dict(type='ResumableEarlyStoppingHook')], 'custom_hooks.0 needs monitor'),
        Case('custom_hooks', [dict(interval=3)], 'custom_hooks.0 needs a type'),
        Case('default_hooks.logger.type', 'LogerHook'),
        Case('default_hooks.logger.intervall', 10),
        Case('default_hooks.checkpoint.interval', '50'),
        Case('default_hooks.checkpoint.save_bst', 'mIoU'),
        Case('default_hooks.checkpoint.save_best', 'mDice'),
        Case('default_hooks.timer', dict(type='IterTimer'), 'default_hooks.timer.type'),
        Case('train_dataloder', dict()),
        Case('optim_wraper', dict()),
        Case('custom_hoks', []),
        Case('load_form', 'a.pth'),
        Case('load_from', 3),
        Case('resume', 'yes'),
        Case('work_dir', 7),
    ],
    'Few labels': [
        Case('model', dict(type='SemiSupervisedDistiller'), 'model needs student'),
        Case(
            'model', dict(type='MeanTeacher', student=toy_segmentor(4), unlabeled_term=dict()), 'model.unlabeled_term'
        ),
        Case('model', dict(type='CrossPseudoSupervision', student=toy_segmentor(4)), 'model.terms'),
        Case('model', dict(type='MeanTeacher', student=toy_segmentor(4), teacher=dict()), 'model.teacher'),
        *(
            Case('model', dict(type='MeanTeacher', student=toy_segmentor(4), **more), named)
            for named, more in {
                'model.mix': dict(unlabeled_terms=dict(), mix='CutMix'),
                'model.mix.type': dict(mix=dict(type='CutMixx')),
                'model.mix.boxes': dict(mix=dict(type='CutMix', boxes='3')),
                'model.mix.area': dict(mix=dict(type='CutMix', area=0.5)),
                'model.mix.area.1': dict(mix=dict(type='CutMix', area=(0.2, None))),
                'model.unlabeled_terms': dict(unlabeled_terms=['loss_mt']),
                'model.unlabeled_terms.loss_mt': dict(unlabeled_terms=dict(loss_mt='ProbabilityMSELoss')),
            }.items()
        ),
        *(
            Case(
                'train_dataloader.dataset',
                dict(type='SemiSupervisedDataset', **more),
                f'train_dataloader.dataset.{named}',
            )
            for named, more in {
                'labeled': dict(labeled='cityscapes', unlabeled_pipelines=[]),
                'labeled.type': dict(labeled=dict(type='CityscapeDataset'), unlabeled_pipelines=[]),
                'unlabeled_pipelines': dict(labeled=dict(type='CityscapesDataset'), unlabeled_pipelines='weak'),
                'unlabeled_pipelins': dict(labeled=dict(type='CityscapesDataset'), unlabeled_pipelins=[]),
                'unlabeled_pipelines.0.0.type': dict(
                    labeled=dict(type='CityscapesDataset'), unlabeled_pipelines=[[dict(type='RandomFlp')]]
                ),
            }.items()
        ),
    ],
    'MCKD': [
        *(
            Case('train_cfg', dict(type='MCKDLoop', **more), f'train_cfg.{named}')
            for named, more in {
                'num_stage': dict(num_stage=2),
                'num_stages': dict(num_stages='2'),
                'teacher': dict(teacher='teacher.py'),
                'train': dict(train='IterBasedTrainLoop'),
                'seed': dict(seed='zero'),
            }.items()
        )
    ],
}


def options(*arguments: str) -> None:
    """A config on the command line, as the tools read it."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    args = parser.parse_args(['good.py', *arguments] if arguments[0].startswith('--') else list(arguments))
    config = load_config(args)
    start(config)


def write(name: str, text: str) -> str:
    Path(name).write_text(text)
    return name


def weights(value: float) -> None:
    model = MODELS.build(toy_segmentor(4))
    with torch.no_grad():
        next(model.parameters()).view(-1)[0] = value
    torch.save(dict(state_dict=model.state_dict()), 'broken.pth')


def broken_teacher(value: float) -> None:
    weights(value)
    config = changed('model.teacher.checkpoint', 'broken.pth')
    config.model.teacher.model = toy_segmentor(4)
    step(config)


def step(config: Config) -> None:
    del config.model.terms['loss_cwd']  # whose schedule a hook moves
    model = MODELS.build(config.model)
    model.loss(**model.data_preprocessor(toy_batch(), training=True))


def infinite_outputs() -> None:
    config = good_config()
    config.model.teacher.model.data_preprocessor.std = [0.0, 1.0, 1.0]
    step(config)


def other_network() -> None:
    torch.save(dict(state_dict=dict(one=torch.zeros(1), two=torch.zeros(2))), 'other.pth')
    load_weights(MODELS.build(toy_segmentor(4)), 'other.pth')


def other_data() -> None:
    loader = DataLoader(ToyDataset(num_classes=11))
    raise ConfigError('\n'.join(check_data_classes(loader, MODELS.build(toy_segmentor(4))).refusals))


ACTIONS = {
    'a network with fewer classes than the data': (other_data, 'model.decode_head.num_classes'),
    'a config that is not there': (lambda: options('god.py'), 'god.py'),
    '`_base_` that is not there': (lambda: options(write('a.py', "_base_ = './nowhere.py'\n")), 'nowhere.py'),
    'a syntax error in a config': (lambda: options(write('b.py', 'model = dict(\n')), 'b.py'),
    'an unknown name in a config': (lambda: options(write('c.py', 'model = modle\n')), 'modle'),
    '`custom_imports` of no module': (
        lambda: options(write('d.py', "custom_imports = dict(imports='no_such_module')\n")),
        'no_such_module',
    ),
    '`custom_imports` of a wrong kind': (lambda: options(write('e.py', 'custom_imports = 3\n')), 'custom_imports'),
    'a JSON file that is cut off': (lambda: options(write('f.json', '{"model": ')), 'f.json'),
    '`--terms` of no method': (lambda: options('--terms', 'cdw'), 'cdw'),
    '`--cfg-options model.terms.loss_pi.wieght=3`': (
        lambda: options('--cfg-options', 'model.terms.loss_pi.wieght=3'),
        'model.terms.loss_pi.wieght',
    ),
    '`--cfg-options model.terms.loss_pi.weight=high`': (
        lambda: options('--cfg-options', 'model.terms.loss_pi.weight=high'),
        'model.terms.loss_pi.weight',
    ),
    '`--cfg-options model.student.backbone=3`': (
        lambda: options('--cfg-options', 'model.student.backbone=3'),
        'model.student.backbone',
    ),
    '`--cfg-options custom_hooks.7.interval=3`': (
        lambda: options('--cfg-options', 'custom_hooks.7.interval=3'),
        'custom_hooks.7',
    ),
    '`--cfg-options train_cfg.max_iters.x=3`': (
        lambda: options('--cfg-options', 'train_cfg.max_iters.x=3'),
        'train_cfg.max_iters',
    ),
    '`--cfg-options modle.x=3`': (lambda: options('--cfg-options', 'modle.x=3'), 'modle'),
    'a teacher with NaN in its weights': (lambda: broken_teacher(NAN), 'model.teacher.checkpoint'),
    'a teacher with infinite weights': (lambda: broken_teacher(INF), 'model.teacher.checkpoint'),
    'a teacher whose outputs are not finite': (infinite_outputs, 'model.teacher'),
    'a checkpoint of which no weight fits': (other_network, 'other.pth'),
    'a checkpoint that is a config': (
        lambda: step(changed('model.teacher.checkpoint', write('g.py', 'model = dict()\n'))),
        'model.teacher.checkpoint',
    ),
    'a checkpoint that is not there': (
        lambda: step(changed('model.teacher.checkpoint', 'nowhere.pth')),
        'model.teacher.checkpoint',
    ),
    'a config that is a checkpoint': (
        lambda: step(changed('model.teacher', dict(config=write('h.pth', 'x')))),
        'h.pth',
    ),
    "a teacher's config that is not there": (
        lambda: step(changed('model.teacher', dict(config='nowhere.py'))),
        'model.teacher.config',
    ),
}
