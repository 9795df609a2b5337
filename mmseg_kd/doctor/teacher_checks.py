"""Is the teacher what it is said to be, and as good?"""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import BaseDataset, pseudo_collate
from mmengine.fileio import load
from mmseg.evaluation import IoUMetric
from torch.utils.data import DataLoader

from ..constants import IGNORE_INDEX
from ..datasets.even_subset import even_subset
from ..distillers.labels import unify_ignored
from ..distillers.teacher import at_scale, in_precision
from ..engine.partition_runs import check_teacher_partitions, partition_of
from ..io.checkpoint import read_checkpoint
from ..io.configs import config_file, published_weights
from .diagnosis import Say
from .network_checks import Network

RESAMPLES = 200
MARGIN = 0.1  # points by which an answer has to beat one class everywhere
FEW = 10  # images, on less than which little can be said


class Accuracy(NamedTuple):
    """What a prediction is worth, in percent, beside the best that one class everywhere would get.

    Args:
        miou: mean IoU over the classes that occur.
        deviation: standard deviation of it, over resampled images.
        pixels: share of pixels that are right.
        constant_miou: of the most frequent class everywhere.
        constant_pixels: likewise.
    """

    miou: float
    deviation: float
    pixels: float
    constant_miou: float
    constant_pixels: float


def check_weights(say: Say, teachers: Sequence[Network], loaders: dict[str, DataLoader]) -> Sequence[Network]:
    """Load every teacher, and compare the classes that its checkpoint names with those of the data.

    Raises:
        CheckpointError: if a checkpoint is missing, unsafe, or of another network.
    """
    classes = next(
        (
            list(metainfo['classes'])
            for metainfo in (getattr(loader.dataset, 'metainfo', {}) for loader in loaders.values())
            if metainfo.get('classes')
        ),
        [],
    )
    for network in teachers:
        teacher, of = network.teacher, '' if network.label == 'teacher' else f' of {network.label}'
        teacher.module
        if teacher.checkpoint is None:
            say.warning(
                f'{network.key}.checkpoint is None, so the weights are those that the constructor gives, '
                "random as a rule; give the path of a checkpoint, or 'auto' for a config of a library"
            )
            continue
        path = published_weights(teacher.config) if teacher.checkpoint == 'auto' else teacher.checkpoint
        theirs = _named_classes(read_checkpoint(path))
        if theirs and classes and theirs != classes and len(theirs) == len(classes):
            at, mine, other = next((i, a, b) for i, (a, b) in enumerate(zip(classes, theirs)) if a != b)
            text = (
                f'{path} calls class {at} "{other}", and the data set calls it "{mine}"; take a teacher of the '
                f'same data ({network.key}), or order metainfo.classes of the data as it does'
            )
            (say.failed if sorted(theirs) == sorted(classes) else say.warning)(text)
        else:
            say.ok(f'{path}{of} fits{", and names the same classes" if theirs and theirs == classes else ""}')
    return teachers


def check_partition(say: Say, config: Config) -> None:
    """Compare the partition of the labels with those that the teachers were trained on.

    Raises:
        ValueError: if a teacher was trained on another one.
    """
    compared = check_teacher_partitions(config)
    if compared:
        say.ok(f'{" and ".join(compared)}: trained on {partition_of(config)}, as the student')
    else:
        say.skipped('no checkpoint tells which labels its teacher was trained on')


def check_accuracy(
    say: Say,
    network: Network,
    loader: DataLoader,
    device: str,
    images: int,
    seconds: float,
    ignored: int = IGNORE_INDEX,
) -> None:
    """The teacher's mIoU on validation images, beside that of its metafile.

    It is taken for broken if one class everywhere would get as much of both mIoU and pixels, or if it gets less than
    half of what is published; and for suspicious if it is more than three deviations below that, or looks broken on
    few images.

    Args:
        say: to speak through.
        network: the teacher, loaded.
        loader: of validation data.
        device: to run on.
        images: how many, spread evenly over the data set.
        seconds: after which no further image is begun.
    """
    dataset: BaseDataset = loader.dataset
    classes = len(dataset.metainfo['classes'])
    if network.num_classes not in (0, classes):
        say.skipped(f'{network.label} has {network.num_classes} classes, and the data {classes}')
        return
    areas = measure(network, loader, device, images, seconds, ignored)
    got, number = summarize(*areas), len(areas[0])
    of = '' if network.label == 'teacher' else f'{network.label}: '
    found = f'{of}{got.miou:.1f} % on {number} of {len(dataset)} validation images'
    stated, reason = published_miou(network)
    mend = f'check checkpoint and config of {network.key}, and that its classes are numbered as those of the data'
    if number < FEW:
        mend += ', or look at more images'
    broken = say.failed if number >= FEW else say.warning
    if got.miou < got.constant_miou + MARGIN and got.pixels < got.constant_pixels + MARGIN:
        broken(
            f'{found} ({got.pixels:.0f} % of the pixels), but one class everywhere would get '
            f'{got.constant_miou:.1f} % ({got.constant_pixels:.0f} %); {mend}'
        )
    elif stated is None:
        say.ok(f'{found}; nothing to compare with: {reason}')
    elif got.miou < stated / 2:
        broken(f'{found}, but {stated:.1f} % are published; {mend}')
    elif number >= FEW and stated - got.miou > 3 * got.deviation:
        say.warning(
            f'{found} (+-{got.deviation:.1f}), but {stated:.1f} % are published; compare the pipeline of '
            f'val_dataloader with that of its config, and {mend}'
        )
    else:
        say.ok(f'{found} (+-{got.deviation:.1f}); {stated:.1f} % are published')


@torch.no_grad()
def measure(
    network: Network, loader: DataLoader, device: str, images: int, seconds: float, ignored: int = IGNORE_INDEX
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pixels of intersection, of union and of the label, each (images, classes)."""
    module = network.teacher.module.to(device)
    dataset: BaseDataset = loader.dataset
    classes = len(dataset.metainfo['classes'])
    areas: list[tuple[torch.Tensor, ...]] = []
    begin = time.monotonic()
    for index in even_subset(len(dataset), images):
        if areas and time.monotonic() - begin > seconds:
            break
        batch = module.data_preprocessor(pseudo_collate([dataset[index]]), False)
        inputs = at_scale(batch['inputs'], network.teacher.scale)
        with in_precision(network.teacher.dtype, inputs.device.type):
            (sample,) = module.predict(inputs, batch['data_samples'])
        truth = unify_ignored(sample.gt_sem_seg.data.squeeze(), ignored)
        predicted = sample.pred_sem_seg.data.squeeze().to(truth)
        intersection, union, _, label = IoUMetric.intersect_and_union(predicted, truth, classes, IGNORE_INDEX)
        areas.append((intersection, union, label))
    intersections, unions, label_areas = (torch.stack(part).double().numpy() for part in zip(*areas))
    return intersections, unions, label_areas


def summarize(intersections: np.ndarray, unions: np.ndarray, labels: np.ndarray) -> Accuracy:
    """Accuracies from pixels of intersection, of union and of the label, each (images, classes)."""
    draws = np.random.default_rng(0).integers(0, len(labels), (RESAMPLES, len(labels)))
    resampled = [_miou(intersections[rows], unions[rows]) for rows in draws]
    total = max(labels.sum(), 1)
    share = labels.sum(0).max() / total
    return Accuracy(
        miou=_miou(intersections, unions),
        deviation=float(np.std(resampled, ddof=1)),
        pixels=float(100 * intersections.sum() / total),
        constant_miou=float(100 * share / max(np.count_nonzero(labels.sum(0)), 1)),
        constant_pixels=float(100 * share),
    )


def published_miou(network: Network) -> tuple[float | None, str]:
    """mIoU in percent that the library's metafile states for a teacher's weights; or None and the reason."""
    teacher = network.teacher
    package, _, relative = (teacher.config or '').rpartition('::')
    if not package:
        return None, f'{teacher.config or "an inline model"} is no config of a library, so there is no metafile'
    root = Path(str(config_file(teacher.config)).removesuffix(str(Path('configs', relative))))
    for metafile in load(str(root / 'model-index.yml'))['Import']:
        for entry in load(str(root / metafile)).get('Models', []):
            if entry.get('Config') != f'configs/{relative}':
                continue
            weights, loaded = (os.path.basename(name or '') for name in (entry.get('Weights'), teacher.checkpoint))
            if loaded not in ('auto', weights):
                return None, f'the metafile of {package} speaks of other weights'
            results = entry.get('Results') or []
            for result in results if isinstance(results, list) else [results]:
                if 'mIoU' in result.get('Metrics', {}):
                    return float(result['Metrics']['mIoU']), ''
    return None, f'no metafile of {package} states an mIoU for {relative}'


def _miou(intersections: np.ndarray, unions: np.ndarray) -> float:
    union = unions.sum(0)
    return float(100 * np.mean(intersections.sum(0)[union > 0] / union[union > 0])) if union.any() else 0.0


def _named_classes(checkpoint: dict) -> list[str]:
    meta = checkpoint.get('meta') or {}
    return list((meta.get('dataset_meta') or {}).get('classes') or meta.get('CLASSES') or [])
