"""Checks of the teacher's weights, classes, partition, accuracy and cache."""

import copy
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.fileio import load
from mmseg.structures import SegDataSample
from torch import nn
from torch.utils.data import DataLoader

from ..cache import cache_cost
from ..constants import IGNORE_INDEX
from ..datasets.even_subset import even_subset
from ..distillers import CachedTeacher
from ..distillers.class_logits import prediction_shares
from ..distillers.teacher import in_precision
from ..engine.partition_runs import check_teacher_partitions, partition_of
from ..engine.teacher_cache import check_caches, reads_mixtures
from ..engine.views import as_views, numbers_of
from ..evaluation import ImageIoUMetric, evaluate, predictions
from ..evaluation.evaluate import Predict
from ..evaluation.output_knowledge import SURE, OutputKnowledge
from ..evaluation.pixels import label_maps
from ..evaluation.teacher_outputs import seen_images, shown
from ..evaluation.trained_network import trained_network
from ..io.checkpoint import read_checkpoint
from ..io.configs import config_file, published_weights
from ..io.progress import duration
from .diagnosis import Reporter
from .network_checks import Network

RESAMPLES = 200
MARGIN = 0.1  # percentage points by which a teacher must exceed the prediction of one class everywhere
GOOD = 0.5  # IoU from which a class counts as recognized
FEW = 10  # number of images below which an accuracy is too uncertain


class Measured(NamedTuple):
    """Counts of predictions on validation images.

    Args:
        intersections: numbers of pixels in the intersection of prediction and label, (images, classes).
        unions: numbers of pixels in their union, (images, classes).
        labels: numbers of pixels of the labels, (images, classes).
        knowledge: what the probabilities say beyond the labels; None if they are unknown.

    Example:
        >>> Measured(np.array([[3, 1]]), np.array([[4, 4]]), np.array([[4, 3]])).iou.tolist()
        [0.75, 0.25]
    """

    intersections: np.ndarray
    unions: np.ndarray
    labels: np.ndarray
    knowledge: OutputKnowledge | None = None

    @property
    def iou(self) -> np.ndarray:
        """IoU of each class over all images, in [0, 1]; NaN for classes that neither occur nor are predicted."""
        with np.errstate(invalid='ignore'):
            return self.intersections.sum(0) / self.unions.sum(0)


class Accuracy(NamedTuple):
    """Accuracy of predictions in percent, and that of predicting the most frequent class everywhere.

    Args:
        miou: mean IoU over the classes that occur.
        std: std of the mIoU over resampled images.
        pixels: pixel accuracy.
        constant_miou: mIoU of the most frequent class everywhere.
        constant_pixels: pixel accuracy of the most frequent class everywhere.

    Example:
        >>> Accuracy(miou=76.1, std=0.5, pixels=95.0, constant_miou=3.2, constant_pixels=40.0).miou
        76.1
    """

    miou: float
    std: float
    pixels: float
    constant_miou: float
    constant_pixels: float


def check_weights(report: Reporter, teachers: Sequence[Network], loaders: dict[str, DataLoader]) -> Sequence[Network]:
    """Load every teacher, and compare the classes in its checkpoint with those of the data.

    Raises:
        CheckpointError: if a checkpoint is missing, unsafe, or belongs to another network.
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
        if teacher.checkpoint is None and getattr(teacher.module, 'comes_with_weights', False):
            report.ok(f'{network.label} comes with its weights')
            continue
        teacher.module
        if teacher.checkpoint is None:
            report.warning(
                f'{network.key}.checkpoint is None, so the weights are the initial ones, which '
                "are usually random; set the path of a checkpoint, or 'auto' for a config of a library"
            )
            continue
        path = published_weights(teacher.config) if teacher.checkpoint == 'auto' else teacher.checkpoint
        theirs = _named_classes(read_checkpoint(path))
        if network.class_map is None and theirs and classes and theirs != classes and len(theirs) == len(classes):
            at, mine, other = next((i, a, b) for i, (a, b) in enumerate(zip(classes, theirs)) if a != b)
            text = (
                f'{path} calls class {at} "{other}", but the data set calls it "{mine}"; use a teacher of the '
                f'same data ({network.key}), or set metainfo.classes of the data to the same order'
            )
            (report.failed if sorted(theirs) == sorted(classes) else report.warning)(text)
        else:
            report.ok(f'{path}{of} fits{", and has the same classes" if theirs and theirs == classes else ""}')
    return teachers


def check_partition(report: Reporter, config: Config) -> None:
    """Compare the partition of the labels with those that the teachers were trained on.

    Raises:
        ValueError: if a teacher was trained on another partition.
    """
    compared = check_teacher_partitions(config)
    if compared:
        report.ok(f'{" and ".join(compared)}: trained on {partition_of(config)}, like the student')
    else:
        report.skipped('no checkpoint names the partition of its teacher')


def check_accuracy(
    report: Reporter,
    network: Network,
    loader: DataLoader,
    device: str,
    images: int,
    seconds: float,
    ignore_index: int = IGNORE_INDEX,
) -> Measured | None:
    """Compare the teacher's mIoU on validation images with that of its metafile.

    The check fails if one class everywhere would reach the same mIoU and pixel accuracy, or if the mIoU is less than
    half the published one. It warns if the mIoU is more than three stds below the published one. On few images, the
    failures are warnings too.

    Args:
        report: receiver of findings.
        network: loaded teacher.
        loader: data loader of the validation data.
        device: device of the teacher.
        images: number of images, spread evenly over the data set.
        seconds: time limit, after which no further image starts.
        ignore_index: label of ignored pixels.

    Returns:
        Measured: what was counted; None if the teacher has other classes than the data.
    """
    dataset: BaseDataset = loader.dataset
    classes = len(dataset.metainfo['classes'])
    if network.num_classes not in (0, classes):
        report.skipped(f'{network.label} has {network.num_classes} classes, but the data have {classes}')
        return None
    measured = measure(network, loader, device, images, seconds, ignore_index)
    got, number = summarize(*measured[:3]), len(measured[0])
    of = '' if network.label == 'teacher' else f'{network.label}: '
    found = f'{of}{got.miou:.1f} % on {number} of {len(dataset)} validation images'
    stated, reason = published_miou(network)
    remedy = f'check checkpoint and config of {network.key}, and that its classes have the same order as in the data'
    if number < FEW:
        remedy += ', or check more images'
    broken = report.failed if number >= FEW else report.warning
    if got.miou < got.constant_miou + MARGIN and got.pixels < got.constant_pixels + MARGIN:
        broken(
            f'{found} ({got.pixels:.0f} % of the pixels), but one class everywhere would reach '
            f'{got.constant_miou:.1f} % ({got.constant_pixels:.0f} %); {remedy}'
        )
    elif stated is None:
        report.ok(f'{found}; no published mIoU: {reason}')
    elif got.miou < stated / 2:
        broken(f'{found}, but the published mIoU is {stated:.1f} %; {remedy}')
    elif number >= FEW and stated - got.miou > 3 * got.std:
        report.warning(
            f'{found} (± {got.std:.1f}), but the published mIoU is {stated:.1f} %; compare the pipeline of '
            f'val_dataloader with that of its config, and {remedy}'
        )
    else:
        report.ok(f'{found} (± {got.std:.1f}); published: {stated:.1f} %')
    return measured


def check_knowledge(report: Reporter, network: Network, measured: Measured | None) -> None:
    """Tell how much the teacher's output says that the labels do not.

    Args:
        report: receiver of findings.
        network: teacher.
        measured: result of :func:`check_accuracy`.
    """
    knowledge = measured and measured.knowledge
    if measured is None or knowledge is None:
        report.skipped('its probabilities on the validation images are unknown')
        return
    of = '' if network.label == 'teacher' else f'{network.label}: '
    iou = measured.iou
    known = network.known
    parts = []
    if known is not None:
        shown = iou[known]
        mean = 100 * np.nanmean(shown) if not np.isnan(shown).all() else 0.0
        parts.append(f'mIoU {mean:.1f} % of the {len(known)} classes that it knows, of {len(iou)}')
    good, seen = np.count_nonzero(iou >= GOOD), np.count_nonzero(~np.isnan(iou))
    parts.append(f'an IoU of {100 * GOOD:.0f} % or more for {good} of {seen} classes')
    parts.append(
        f'entropy where it is right {knowledge.mean_entropy:.2g} nats per pixel (0: like labels; '
        f'{np.log(len(iou)):.2g}: all classes alike)'
    )
    if knowledge.ignored:
        parts.append(
            f'sure (>= {SURE:g}) of {100 * knowledge.sure / knowledge.ignored:.0f} % of the pixels that the labels '
            f'ignore, which are {100 * knowledge.ignored / knowledge.pixels:.2g} % of all'
        )
    else:
        parts.append('no pixel is ignored by the labels')
    report.ok(of + '; '.join(parts))


def check_start(
    report: Reporter,
    config: Config,
    measured: Sequence[Measured | None],
    loader: DataLoader,
    images: int,
    seconds: float,
    ignore_index: int = IGNORE_INDEX,
) -> None:
    """Compare the mIoU of the student's starting weights, ``load_from``, with those of the teachers.

    Args:
        report: receiver of findings.
        config: training config.
        measured: results of :func:`check_accuracy`, for the teachers.
        loader: data loader of the validation data.
        images: number of images, spread evenly over the data set.
        seconds: time limit, after which no further image starts.
        ignore_index: label of ignored pixels.

    Raises:
        CheckpointError: if the checkpoint is missing, unsafe or of another network.
    """
    student: Any = trained_network(config, config.load_from)
    counts = [each for each in measured if each is not None]
    counts.append(count(student.test_step, loader.dataset, images, seconds, ignore_index))
    number = min(len(each.labels) for each in counts)  # the time limit may have ended one of them earlier
    *teachers, got = (summarize(*(part[:number] for part in each[:3])).miou for each in counts)
    found = f'{config.load_from}: {got:.1f} % before training'
    if teachers and max(teachers) < got:
        report.warning(
            f'{found}, more than the {max(teachers):.1f} % of the teacher on the same images: terms pull the student '
            'towards weaker outputs; take a better teacher, or compare with a training without one'
        )
    elif teachers:
        report.ok(f'{found}, {max(teachers) - got:.1f} points less than the teacher on the same images')
    else:
        report.ok(found)


def measure(
    network: Network, loader: DataLoader, device: str, images: int, seconds: float, ignore_index: int = IGNORE_INDEX
) -> Measured:
    """The counts of a teacher's predictions; arguments as in :func:`check_accuracy`."""
    module = network.teacher.module.to(device)
    dataset: BaseDataset = loader.dataset

    def predict(batch: dict) -> list[SegDataSample]:
        inputs, samples, _ = seen_images(network.teacher, batch)
        with in_precision(network.teacher.dtype, inputs.device.type):
            return module.predict(inputs, samples)

    with shown(network.teacher, dataset):
        return count(predict, dataset, images, seconds, ignore_index, module)


def count(
    predict: Predict,
    dataset: BaseDataset,
    images: int,
    seconds: float,
    ignore_index: int = IGNORE_INDEX,
    module: nn.Module | None = None,
) -> Measured:
    """The counts of predictions on images that are spread evenly over a data set.

    Args:
        predict: function of a batch of one image that returns its data sample with the prediction.
        dataset: data set.
        images: number of images.
        seconds: time limit, after which no further image starts.
        ignore_index: label of ignored pixels.
        module: network whose probabilities are counted; None for none.
    """
    knowledge: list[OutputKnowledge] = []

    def in_time(indices: list[int]) -> Iterator[SegDataSample]:
        begin = time.monotonic()
        for sample in predictions(predict, dataset, indices):
            yield sample
            if module is not None and 'seg_logits' in sample:
                shares = prediction_shares(module, sample.seg_logits.data)
                knowledge.append(OutputKnowledge.of(shares, *label_maps(sample.to_dict(), ignore_index)))
            if time.monotonic() - begin > seconds:
                break

    metric = ImageIoUMetric(ignore_index=ignore_index)
    evaluate(in_time(even_subset(len(dataset), images)), metric, dataset.metainfo)
    found = [areas for _, areas in metric.images]
    right, predicted, true = (
        np.stack([getattr(areas, name) for areas in found]) for name in ('right', 'predicted', 'true')
    )
    return Measured(right, predicted + true - right, true, sum(knowledge, OutputKnowledge()) if knowledge else None)


def summarize(intersections: np.ndarray, unions: np.ndarray, labels: np.ndarray) -> Accuracy:
    """Accuracies from the counts of :class:`Measured`.

    Example:
        >>> summarize(np.array([[3.0]]), np.array([[4.0]]), np.array([[4.0]])).miou
        75.0
    """
    samples = np.random.default_rng(0).integers(0, len(labels), (RESAMPLES, len(labels)))
    resampled = [_miou(intersections[rows], unions[rows]) for rows in samples]
    total = max(labels.sum(), 1)
    share = labels.sum(0).max() / total
    return Accuracy(
        miou=_miou(intersections, unions),
        std=float(np.std(resampled, ddof=1)),
        pixels=float(100 * intersections.sum() / total),
        constant_miou=float(100 * share / max(np.count_nonzero(labels.sum(0)), 1)),
        constant_pixels=float(100 * share),
    )


def published_miou(network: Network) -> tuple[float | None, str]:
    """The mIoU in percent of a teacher's weights in the library's metafile; or None and the reason."""
    teacher = network.teacher
    package, _, relative = (teacher.config or '').rpartition('::')
    if not package:
        return None, f'{teacher.config or "an inline model"} is no config of a library, so it has no metafile'
    root = Path(str(config_file(teacher.config)).removesuffix(str(Path('configs', relative))))
    for metafile in load(str(root / 'model-index.yml'))['Import']:
        for entry in load(str(root / metafile)).get('Models', []):
            if entry.get('Config') != f'configs/{relative}':
                continue
            weights, loaded = (os.path.basename(name or '') for name in (entry.get('Weights'), teacher.checkpoint))
            if loaded not in ('auto', weights):
                return None, f'the metafile of {package} has other weights'
            results = entry.get('Results') or []
            for result in results if isinstance(results, list) else [results]:
                if 'mIoU' in result.get('Metrics', {}):
                    return float(result['Metrics']['mIoU']), ''
    return None, f'no metafile of {package} has an mIoU of {relative}'


def _miou(intersections: np.ndarray, unions: np.ndarray) -> float:
    union = unions.sum(0)
    return float(100 * np.mean(intersections.sum(0)[union > 0] / union[union > 0])) if union.any() else 0.0


def _named_classes(checkpoint: dict) -> list[str]:
    meta = checkpoint.get('meta') or {}
    return list((meta.get('dataset_meta') or {}).get('classes') or meta.get('CLASSES') or [])


def check_cache(report: Reporter, config: Config, teachers: dict[str, Any]) -> Config:
    """Report size, views and time of stored teacher outputs.

    Args:
        report: receiver of findings.
        config: training config.
        teachers: teachers by name.

    Returns:
        Config: copy of the config whose training data are the views of the cache, as in training.

    Raises:
        FileNotFoundError: if there is no complete cache.
    """
    config = copy.deepcopy(config)
    # Several teachers may share a cache.
    cached = {teacher.folder: teacher for teacher in teachers.values() if isinstance(teacher, CachedTeacher)}
    for teacher in cached.values():
        cost, index = cache_cost(teacher.folder), teacher.store.index
        stored = ', '.join(f'{path} as {one["encoding"]}' for path, one in index['paths'].items())
        report.ok(
            f'{teacher.folder}: {index["views"]} views of {index["images"]} images, {cost.bytes / 1e9:.3g} GB '
            f'({stored}), made in {duration(cost.seconds)}; the teacher is '
            f'{"built for mixtures of images alone" if reads_mixtures(config) else "not built"}'
        )
        config.train_dataloader = as_views(config.train_dataloader, **numbers_of(teacher))
    return config


def check_cached_images(report: Reporter, model: nn.Module, loader: DataLoader) -> None:
    """Check that stored teacher outputs belong to the training images, their pipeline, and the teacher.

    Args:
        report: receiver of findings.
        model: distiller.
        loader: data loader of the training data.

    Raises:
        ConfigError: if they do not; the message names a key that differs.
    """
    check_caches(model, loader.dataset)
    report.ok('made of these images, this pipeline and these versions of libraries')
