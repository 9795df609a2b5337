"""What a distillation has brought: teacher, student before and student now, on the validation images."""

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmseg.registry import DATASETS, METRICS

from ..distillers.labels import ignored_label
from ..evaluation import evaluate, predictions, teacher_predict
from ..evaluation.evaluate import Predict
from ..evaluation.teacher_outputs import load_teachers, shown
from ..evaluation.trained_network import trained_network
from ..io.configs import segmentor_config
from ..io.tables import markdown_table


def outcome_table(
    config: Config,
    student: str | Path,
    before: str | None = None,
    report: Callable[[str, int, int], None] | None = None,
) -> str:
    """A Markdown table of the mIoU of teachers and students on all validation images.

    Args:
        config: Config of the distillation.
        student: Checkpoint of the trained student.
        before: Checkpoint of the same network without distillation; None to leave it out.
        report: Function that is called after every image with the name of the network, the number of finished images
            and of all images.

    Raises:
        CheckpointError: If a checkpoint is missing, unsafe or of another network.
    """
    dataset = DATASETS.build(copy.deepcopy(config.val_dataloader.dataset))
    ignored = ignored_label(segmentor_config(config))
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    rows: list[Sequence[str]] = [('network', 'parameters', 'mIoU')]

    def measure(name: str, predict: Predict, networks: Sequence[torch.nn.Module]) -> float:
        told = None if report is None else lambda done: report(name, done, len(dataset))
        miou = _miou(predict, dataset, ignored, told)
        parameters = sum(p.numel() for network in networks for p in network.parameters())
        rows.append((name, f'{parameters / 1e6:.2f} M', f'{miou:.2f}'))
        return miou

    for name, teacher in load_teachers(config).items():
        for member in teacher.members:
            member.module.to(device)
        with shown(teacher, dataset):
            measure(f'teacher {name}'.strip(), teacher_predict(teacher), [member.module for member in teacher.members])
    first = None
    if before is not None:
        network: Any = trained_network(config, before)
        first = measure('student before', network.test_step, [network])
    network = trained_network(config, str(student))
    now = measure('student now', network.test_step, [network])
    if first is not None:
        rows.append(('gain', '', f'{now - first:+.2f}'))
    return markdown_table(rows)


def _miou(predict: Predict, dataset: BaseDataset, ignored: int, report: Callable[[int], None] | None) -> float:
    metric = METRICS.build(dict(type='IoUMetric', iou_metrics=['mIoU'], ignore_index=ignored))
    return evaluate(predictions(predict, dataset), metric, dataset.metainfo, report)['mIoU']
