"""Small segmentors, batches and data sets that behave like real ones."""

import itertools
from typing import Any

import torch
from mmengine.config import Config, ConfigDict
from mmengine.runner import Runner
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch.utils.data import Dataset

_COUNT = itertools.count()
MEAN, STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]


def toy_segmentor(
    base_channels: int = 8,
    num_classes: int = 4,
    depth: int = 18,
    auxiliary: bool = True,
    size: int = 32,
    mean: list[float] | None = None,
    std: list[float] | None = None,
    bgr_to_rgb: bool = True,
) -> ConfigDict:
    """Config of a PSPNet with a thin ResNet and only a few thousand weights.

    Args:
        base_channels: Number of channels of the stem; stage i has 2**i times as many.
        num_classes: Number of classes.
        depth: Depth of the ResNet.
        auxiliary: Whether the third stage has an auxiliary head.
        size: Height and width of training images in pixels.
        mean: Mean of the data preprocessor by channel; ImageNet's by default.
        std: Std of the data preprocessor by channel; ImageNet's by default.
        bgr_to_rgb: Whether the data preprocessor swaps the channels.
    """
    norm_cfg = dict(type='BN', requires_grad=True)
    expansion = 1 if depth < 50 else 4
    head = dict(
        num_classes=num_classes,
        norm_cfg=norm_cfg,
        align_corners=False,
        dropout_ratio=0.1,
        loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0),
    )
    model = dict(
        type='EncoderDecoder',
        data_preprocessor=dict(
            type='SegDataPreProcessor',
            mean=mean or MEAN,
            std=std or STD,
            bgr_to_rgb=bgr_to_rgb,
            pad_val=0,
            seg_pad_val=255,
            size=(size, size),
        ),
        backbone=dict(
            type='ResNetV1c',
            depth=depth,
            base_channels=base_channels,
            stem_channels=base_channels,
            num_stages=4,
            out_indices=(0, 1, 2, 3),
            dilations=(1, 1, 2, 4),
            strides=(1, 2, 1, 1),
            norm_cfg=norm_cfg,
            norm_eval=False,
            style='pytorch',
            contract_dilation=True,
        ),
        decode_head=dict(
            type='PSPHead',
            in_channels=8 * base_channels * expansion,
            in_index=3,
            channels=2 * base_channels,
            pool_scales=(1, 2),
            **head,
        ),
        train_cfg=dict(),
        test_cfg=dict(mode='whole'),
    )
    if auxiliary:
        model['auxiliary_head'] = dict(
            type='FCNHead',
            in_channels=4 * base_channels * expansion,
            in_index=2,
            channels=base_channels,
            num_convs=1,
            concat_input=False,
            **head,
        )
    return ConfigDict(model)


def toy_batch(num: int = 2, size: int = 32, num_classes: int = 4, seed: int = 0) -> dict:
    """A batch as a data loader returns it: images in 0..255 and label maps with a stripe of ignored pixels."""
    generator = torch.Generator().manual_seed(seed)
    images = [torch.randint(0, 256, (3, size, size), generator=generator, dtype=torch.uint8) for _ in range(num)]
    samples = []
    for _ in range(num):
        labels = torch.randint(0, num_classes, (1, size, size), generator=generator)
        labels[:, :2] = 255
        shape = dict(img_shape=(size, size), ori_shape=(size, size), pad_shape=(size, size), padding_size=[0, 0, 0, 0])
        samples.append(SegDataSample(metainfo=shape, gt_sem_seg=PixelData(data=labels)))
    return dict(inputs=images, data_samples=samples)


def toy_branch_batch(num: int = 2, branches: int = 2, size: int = 32, num_classes: int = 4, seed: int = 0) -> dict:
    """A batch of :func:`toy_batch`, and a batch with blank labels and padding for each unlabeled branch."""
    batch: dict[str, Any] = dict(labeled=toy_batch(num, size, num_classes, seed), unlabeled=[])
    for branch in range(1, branches + 1):
        images = toy_batch(num, size, num_classes, seed=1000 * branch + seed)
        for sample in images['data_samples']:
            sample.gt_sem_seg.data = torch.zeros(1, size, size, dtype=torch.uint8)
            sample.gt_sem_seg.data[:, size - branch * size // 4 :] = 255
        batch['unlabeled'].append(images)
    return batch


class ToyDataset(Dataset):
    """Images and label maps of :func:`toy_batch`, the same at every access.

    Args:
        num: Number of images.
        size: Height and width of the images in pixels.
        num_classes: Number of classes.
    """

    def __init__(self, num: int = 8, size: int = 32, num_classes: int = 4) -> None:
        self._num, self._size, self._num_classes = num, size, num_classes
        classes = range(num_classes)
        self.metainfo = dict(classes=tuple(f'class {i}' for i in classes), palette=[[i] * 3 for i in classes])

    def __len__(self) -> int:
        return self._num

    def __getitem__(self, index: int) -> dict:
        batch = toy_batch(1, self._size, self._num_classes, seed=index)
        return {key: value[0] for key, value in batch.items()}


class ToyBranchDataset(ToyDataset):
    """Images of :func:`toy_branch_batch` with two unlabeled branches, the same at every access."""

    def __getitem__(self, index: int) -> dict:
        batch = toy_branch_batch(1, 2, self._size, self._num_classes, seed=index)
        labeled, *unlabeled = (
            {key: value[0] for key, value in branch.items()} for branch in (batch['labeled'], *batch['unlabeled'])
        )
        return dict(labeled=labeled, unlabeled=unlabeled)


def toy_runner(model: dict, work_dir: str, max_iters: int = 4, **settings) -> Runner:
    """A Runner that trains on :class:`ToyDataset` in seconds.

    Args:
        model: Config of a segmentor.
        work_dir: Folder for logs and checkpoints.
        max_iters: Number of iterations; a checkpoint is written after the last one.
        settings: Additional or changed settings of the config.
    """
    config = dict(
        model=model,
        work_dir=str(work_dir),
        default_scope='mmseg',
        log_level='WARNING',
        train_dataloader=dict(
            dataset=ToyDataset(),
            batch_size=2,
            num_workers=0,
            sampler=dict(type='InfiniteSampler', shuffle=True, seed=0),
            collate_fn=dict(type='pseudo_collate'),
        ),
        train_cfg=dict(by_epoch=False, max_iters=max_iters),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01, momentum=0.9)),
        log_processor=dict(by_epoch=False),
        default_hooks=dict(
            logger=dict(type='LoggerHook', interval=1),
            checkpoint=dict(type='CheckpointHook', interval=max_iters, by_epoch=False),
        ),
        randomness=dict(seed=0),
        experiment_name=f'toy_{next(_COUNT)}',
    )
    config.update(settings)
    return Runner(**config, cfg=Config(dict(model=model, default_scope='mmseg')))
