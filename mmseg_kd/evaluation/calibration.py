"""What a teacher's output is like: how often it is right, how well it knows that, and how soft it becomes."""

import copy
import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmseg.registry import DATASETS
from torch import Tensor
from torch.utils.data import DataLoader, Subset

from ..constants import IGNORE_INDEX
from ..distillers.class_logits import count_classes, decide, prediction_logits, prediction_threshold
from ..distillers.labels import ignored_label
from ..distillers.teacher import (
    EnsembleTeacher,
    FrozenTeacher,
    Teacher,
    at_scale,
    build_teachers,
    in_precision,
    teachers_by_name,
)
from ..io.configs import outer_preprocessor, published_weights, segmentor_config
from ..io.tables import csv_table, markdown_table

CALIBRATION_BINS = 15
ENTROPY_BINS = 200
SHOWN_BINS = 10
DRAWN_BINS = 50
PIXELS_AT_ONCE = 1 << 16
LOW, HIGH = 0.1, 0.9


class OutputStatistics:
    r"""Accuracy, calibration and entropy of a segmentor's output, over any number of pixels, in fixed memory.

    With logits :math:`z` and :math:`p^T = softmax(z / T)`, of every pixel that is not void: its class, predicted and
    true; its confidence :math:`\max_c p^1_c` in one of 15 bins of equal width; and for each temperature its entropy
    :math:`H_T = -\sum_c p^T_c \log p^T_c` in one of 200 bins from 0 to its maximum, :math:`\log C`.

    Args:
        num_classes: C.
        temperatures: to soften the output with.
        void: labels that count for nothing.
        threshold: above which probability of class 1 the network predicts it, if it has one channel; None for the most
            probable class.

    Raises:
        ValueError: if there are fewer than two classes, or no temperature, or one is not > 0.
    """

    def __init__(
        self,
        num_classes: int,
        temperatures: Sequence[float],
        void: Iterable[int] = (IGNORE_INDEX,),
        threshold: float | None = None,
    ) -> None:
        if num_classes < 2:
            raise ValueError(
                f'entropy needs at least 2 logits a pixel, but the network gives {num_classes}; set '
                'decode_head.out_channels to the number of classes'
            )
        if not temperatures or min(temperatures) <= 0 or len(set(temperatures)) < len(temperatures):
            raise ValueError(f'temperatures must be different numbers > 0, at least one, but are {list(temperatures)}')
        self.num_classes = num_classes
        self.temperatures = list(temperatures)
        self.images = 0
        self._void, self._threshold = set(void), threshold
        self._confusion = np.zeros((num_classes, num_classes), np.int64)
        self._pixels, self._hits = np.zeros((2, CALIBRATION_BINS), np.int64)
        self._confidence = np.zeros(CALIBRATION_BINS)
        self._histogram = np.zeros((len(temperatures), ENTROPY_BINS), np.int64)
        self._entropy = np.zeros(len(temperatures))

    def update(self, logits: Tensor, labels: Tensor) -> None:
        """Count one image.

        Args:
            logits: (C, H, W).
            labels: classes (H, W).

        Raises:
            ValueError: if the sizes differ, a label lies outside the classes, or a logit is not finite.
        """
        if logits.shape[1:] != labels.shape:
            raise ValueError(
                f'labels must have the size of the original image, {tuple(logits.shape[1:])}, but have '
                f"{tuple(labels.shape)}; put LoadAnnotations after Resize in val_dataloader's pipeline"
            )
        logits, labels = logits.flatten(1), labels.flatten().to(logits.device)
        kept = torch.ones_like(labels, dtype=torch.bool)
        for value in self._void:
            kept &= labels != value
        known = labels[kept]
        if known.numel() and (known.min() < 0 or known.max() >= self.num_classes):
            raise ValueError(
                f'labels must lie in 0..{self.num_classes - 1} or be void, but an image holds '
                f'{known.min()}..{known.max()}; check reduce_zero_label and the label files'
            )
        # A chunk at a time: what the temperatures need is several times the logits.
        for start in range(0, labels.numel(), PIXELS_AT_ONCE):
            chunk = slice(start, start + PIXELS_AT_ONCE)
            self._count(logits[:, chunk][:, kept[chunk]].float(), labels[chunk][kept[chunk]].long())
        self.images += 1

    def _count(self, logits: Tensor, labels: Tensor) -> None:
        if not torch.isfinite(logits).all():
            raise ValueError("the teacher's logits must be finite, but some are not; check its checkpoint and dtype")
        confidence, predicted = decide(logits.softmax(0), self._threshold)
        self._confusion += _histogram(labels * self.num_classes + predicted, self.num_classes**2).reshape(
            self._confusion.shape
        )
        # A bin is open on its left and closed on its right, as in Guo et al.
        bins = (confidence * CALIBRATION_BINS).ceil().long().sub(1).clamp(0, CALIBRATION_BINS - 1)
        self._pixels += _histogram(bins, CALIBRATION_BINS)
        self._hits += _histogram(bins[predicted == labels], CALIBRATION_BINS)
        self._confidence += _histogram(bins, CALIBRATION_BINS, confidence)
        for i, temperature in enumerate(self.temperatures):
            log_p = F.log_softmax(logits / temperature, dim=0)
            entropy = -(log_p.exp() * log_p).sum(0)
            bins = (entropy * (ENTROPY_BINS / math.log(self.num_classes))).long().clamp(0, ENTROPY_BINS - 1)
            self._histogram[i] += _histogram(bins, ENTROPY_BINS)
            self._entropy[i] += entropy.double().sum().item()

    @property
    def pixels(self) -> int:
        """Pixels that were counted."""
        return int(self._pixels.sum())

    @property
    def max_entropy(self) -> float:
        """log C, in nats."""
        return math.log(self.num_classes)

    @property
    def iou(self) -> np.ndarray:
        """Intersection over union of every class (C,), in [0, 1]; NaN for one that neither occurs nor is predicted."""
        hits = np.diag(self._confusion)
        with np.errstate(invalid='ignore'):
            return hits / (self._confusion.sum(0) + self._confusion.sum(1) - hits)

    @property
    def miou(self) -> float:
        """Their mean over the classes that occur or are predicted."""
        return float(np.nanmean(self.iou))

    @property
    def accuracy(self) -> float:
        """Share of the pixels that are right, in [0, 1]."""
        return float(np.trace(self._confusion) / self.pixels)

    @property
    def confidence(self) -> float:
        """Mean confidence, in [0, 1]; of a calibrated network it is the accuracy."""
        return float(self._confidence.sum() / self.pixels)

    @property
    def ece(self) -> float:
        r"""Expected calibration error :math:`\sum_b n_b / n \, |accuracy_b - confidence_b|`, in [0, 1].

        Guo et al., "On Calibration of Modern Neural Networks" (arXiv 1706.04599), over pixels.
        """
        return float(np.abs(self._hits - self._confidence).sum() / self.pixels)

    def reliability(self) -> list[tuple[float, float, int, float, float]]:
        """Per bin of confidence: lower and upper edge, pixels, their accuracy and mean confidence (NaN if empty)."""
        with np.errstate(invalid='ignore'):
            accuracy, confidence = self._hits / self._pixels, self._confidence / self._pixels
        edges = np.arange(CALIBRATION_BINS + 1) / CALIBRATION_BINS
        return [
            (float(edges[i]), float(edges[i + 1]), int(self._pixels[i]), float(accuracy[i]), float(confidence[i]))
            for i in range(CALIBRATION_BINS)
        ]

    def shares(self, bins: int = ENTROPY_BINS) -> np.ndarray:
        """Shares of the pixels (temperatures, bins) by entropy, in equal bins from 0 to log C; rows add up to 1.

        Raises:
            ValueError: if 200 is no multiple of ``bins``.
        """
        if bins < 1 or ENTROPY_BINS % bins:
            raise ValueError(f'bins must divide {ENTROPY_BINS}, but is {bins}')
        return self._histogram.reshape(len(self.temperatures), bins, -1).sum(-1) / self.pixels

    def mean_entropy(self) -> np.ndarray:
        """Mean entropy at each temperature, as a share of log C, in [0, 1]."""
        return self._entropy / self.pixels / self.max_entropy

    def median_entropy(self) -> np.ndarray:
        """Median entropy at each temperature, as a share of log C; interpolated within a bin, so to within 1 / 200."""
        medians = []
        for counts in self._histogram:
            above = np.cumsum(counts)
            i = int(np.searchsorted(above, self.pixels / 2))
            below = above[i] - counts[i]
            medians.append((i + (self.pixels / 2 - below) / counts[i]) / ENTROPY_BINS)
        return np.array(medians)


def _histogram(bins: Tensor, size: int, weights: Tensor | None = None) -> np.ndarray:
    weights = None if weights is None else weights.double()
    return torch.bincount(bins, weights=weights, minlength=size).cpu().numpy()


def suggest_temperatures(temperatures: Sequence[float], medians: Sequence[float]) -> tuple[list[float], str]:
    """Temperatures that are worth a training run each, and the rule that chose them, as a sentence.

    A heuristic on the teacher alone: what a student gains only its training tells.

    Args:
        temperatures: that were looked at.
        medians: the median entropy at each, as a share of log C.
    """
    pairs = sorted(zip(temperatures, medians))
    good = [temperature for temperature, median in pairs if LOW <= median <= HIGH]
    low = [temperature for temperature, median in pairs if median < LOW]
    high = [temperature for temperature, median in pairs if median > HIGH]
    rule = (
        f'those whose median entropy lies within {LOW:g} and {HIGH:g} of log C: below, most pixels are all but '
        'one-hot and say little that the labels do not; above, most are all but uniform and say nothing'
    )
    if not good:
        # Entropy rises with the temperature, so the band lies between the last that is too low and the first too high.
        good = [math.sqrt(low[-1] * high[0]) if low and high else low[-1] * 2 if low else high[0] / 2]
        rule = (
            f'none of them has a median entropy within {LOW:g} and {HIGH:g} of log C, so the next place to look: '
            + (
                'between those below and those above'
                if low and high
                else 'twice the highest'
                if low
                else 'half the lowest'
            )
        )
    return good, rule


def load_teachers(config: Config, checkpoint: str | None = None, name: str = '') -> dict[str, Teacher]:
    """The teachers of a distiller by name, or a plain segmentor as the one that has none.

    Args:
        config: of either.
        checkpoint: of the segmentor; takes the place of the one that a distiller's only teacher names.
        name: of the config, such as ``mmseg::pspnet/...``, for the checkpoint ``'auto'``.

    Raises:
        ValueError: if there is no checkpoint, or one for several teachers.
    """
    if 'teacher' not in config.model:
        if checkpoint is None:
            raise ValueError(
                'a plain segmentor needs its checkpoint as the second argument; a distiller names that of its teacher'
            )
        checkpoint = published_weights(name) if checkpoint == 'auto' else checkpoint
        return {'': FrozenTeacher(model=segmentor_config(config), checkpoint=checkpoint)}
    spec = copy.deepcopy(config.model.teacher)
    if checkpoint is not None:
        if not isinstance(spec, dict) or '' not in teachers_by_name(spec):
            raise ValueError(
                f'{checkpoint}: a checkpoint can be given for a single teacher, but model.teacher has '
                'several; leave it out'
            )
        spec.checkpoint = checkpoint
    return build_teachers(spec, outer_preprocessor(config))


def analyze_teacher(
    teacher: Teacher,
    config: Config,
    temperatures: Sequence[float],
    images: int,
    report: Callable[[int, int], None] | None = None,
) -> OutputStatistics:
    """Statistics of a teacher's output on validation images, drawn at random.

    The logits are those that MMSegmentation takes its prediction from, at the size of the label map; so the mIoU of all
    images is that of a test run. Of an ensemble they are the logarithm of its mean probabilities.

    Args:
        teacher: to look at.
        config: whose ``val_dataloader`` has the images and labels.
        temperatures: to soften the output with.
        images: how many, drawn without repetition and the same in every run, so that teachers can be compared; all, if
            there are no more.
        report: is called after every image with the number of images that are done, and of all.

    Raises:
        ValueError: if ``images`` is not >= 1, if the pipeline loads no labels, or all of them are void.
    """
    if images < 1:
        raise ValueError(f'images must be >= 1, but is {images}')
    dataset = DATASETS.build(copy.deepcopy(config.val_dataloader.dataset))
    # RandomState draws the same in every version of NumPy.
    chosen = sorted(np.random.RandomState(0).permutation(len(dataset))[:images].tolist())
    device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    modules = [member.module.to(device) for member in teacher.members]
    void = {IGNORE_INDEX, ignored_label(segmentor_config(config))}
    statistics = OutputStatistics(count_classes(modules[0]), temperatures, void, decision_threshold(teacher))
    loader = DataLoader(
        Subset(dataset, chosen), num_workers=config.val_dataloader.get('num_workers', 0), collate_fn=pseudo_collate
    )
    for done, batch in enumerate(loader, start=1):
        sample = batch['data_samples'][0]
        if 'gt_sem_seg' not in sample:
            raise ValueError(
                'val_dataloader.dataset.pipeline must load the labels, but its samples have none; put '
                "dict(type='LoadAnnotations') into it"
            )
        statistics.update(full_size_logits(teacher, batch), sample.gt_sem_seg.data[0])
        if report is not None:
            report(done, len(chosen))
    if not statistics.pixels:
        raise ValueError(f'at least one pixel must not be void, but of {len(chosen)} images all are; take more images')
    return statistics


@torch.no_grad()
def full_size_logits(teacher: Teacher, batch: dict) -> Tensor:
    """Logits (C, H, W), C >= 2, of a batch of one image, as a data loader gives it, at the size of its label map.

    Args:
        teacher: sees the image as in distillation: under its own normalization, scale and dtype.
        batch: is left as it is.
    """
    if not isinstance(teacher, EnsembleTeacher):
        return _member_logits(teacher, batch)
    votes = [F.log_softmax(_member_logits(member, batch).float(), dim=0) for member in teacher.members]
    return torch.logsumexp(torch.stack(votes), dim=0) - math.log(len(votes))


def decision_threshold(teacher: Teacher) -> float | None:
    """Above which probability of class 1 a teacher of one channel predicts it; None for the most probable class."""
    return None if isinstance(teacher, EnsembleTeacher) else prediction_threshold(teacher.module)


def _member_logits(member: FrozenTeacher, batch: dict) -> Tensor:
    module = member.module
    data = module.data_preprocessor(copy.deepcopy(batch), False)
    images, samples = data['inputs'], data['data_samples']
    size = images.shape[2:]
    images = at_scale(images, member.scale)
    shape = tuple(images.shape[2:])
    metas = [dict(sample.metainfo, img_shape=shape, pad_shape=shape) for sample in samples]
    with in_precision(member.dtype, images.device.type):
        logits = module.inference(images, metas)
    if logits.shape[2:] != size:
        logits = F.interpolate(logits, size=size, mode='bilinear', align_corners=module.align_corners)
    return module.postprocess_result(prediction_logits(module, logits), samples)[0].seg_logits.data


def teacher_report(name: str, statistics: OutputStatistics) -> str:
    """What was found, as Markdown: accuracy, calibration, entropy by temperature, and what to try.

    Args:
        name: of the teacher.
        statistics: of its output.
    """
    means, medians = statistics.mean_entropy(), statistics.median_entropy()
    good, rule = suggest_temperatures(statistics.temperatures, medians)
    return (
        '\n\n'.join(
            [
                f'## {name}',
                f'{statistics.images} images, {statistics.pixels} pixels that are not void, {statistics.num_classes} '
                'classes.',
                markdown_table(
                    [
                        ('', 'mIoU, %', 'accuracy, %', 'mean confidence, %', f'ECE, % ({CALIBRATION_BINS} bins)'),
                        (
                            'teacher',
                            *(
                                f'{100 * value:.2f}'
                                for value in (
                                    statistics.miou,
                                    statistics.accuracy,
                                    statistics.confidence,
                                    statistics.ece,
                                )
                            ),
                        ),
                    ]
                ),
                f'Share of pixels, in %, by the entropy of softmax(logits / T); log C = '
                f'{statistics.max_entropy:.3f} nats.',
                markdown_table(_entropy_rows(statistics, means, medians)),
                f'Temperatures to try: {", ".join(f"{temperature:g}" for temperature in good)}. Rule: {rule}. '
                'A heuristic that looks at the teacher alone: only training tells what a student gains. '
                'Keep T = 1 in the comparison.',
            ]
        )
        + '\n'
    )


def _entropy_rows(statistics: OutputStatistics, means: np.ndarray, medians: np.ndarray) -> list[Sequence[str]]:
    shares, top = statistics.shares(SHOWN_BINS), statistics.max_entropy
    rows = [('entropy / log C', 'nats', *(f'T = {temperature:g}' for temperature in statistics.temperatures))]
    for i in range(SHOWN_BINS):
        low, high = i / SHOWN_BINS, (i + 1) / SHOWN_BINS
        rows.append(
            (
                f'{low:.1f} to {high:.1f}',
                f'{low * top:.2f} to {high * top:.2f}',
                *(f'{100 * share:.2f}' for share in shares[:, i]),
            )
        )
    for label, values in (('mean', means), ('median', medians)):
        rows.append((f'{label}, of log C', '', *(f'{value:.3f}' for value in values)))
        rows.append((f'{label}, nats', '', *(f'{value * top:.3f}' for value in values)))
    return rows


def entropy_csv(statistics: OutputStatistics) -> str:
    """All bins of the entropy: edges as a share of log C and in nats, and the share of pixels at each temperature."""
    shares, top = statistics.shares(), statistics.max_entropy
    names = [f'share_T{temperature:g}' for temperature in statistics.temperatures]
    rows = [['from', 'to', 'from_nats', 'to_nats', *names]]
    for i in range(ENTROPY_BINS):
        edges = np.array([i, i + 1]) / ENTROPY_BINS
        rows.append([f'{value:.6g}' for value in (*edges, *(edges * top), *shares[:, i])])
    return csv_table(rows)


def reliability_csv(statistics: OutputStatistics) -> str:
    """The reliability diagram: edges of the confidence, pixels, accuracy and mean confidence of every bin."""
    rows = [
        [f'{low:.6g}', f'{high:.6g}', str(pixels), f'{accuracy:.6g}', f'{confidence:.6g}']
        for low, high, pixels, accuracy, confidence in statistics.reliability()
    ]
    return csv_table([('from', 'to', 'pixels', 'accuracy', 'confidence'), *rows])


def draw_teacher(name: str, statistics: OutputStatistics, path: str | Path) -> None:
    """Write a PNG with the share of pixels by entropy for every temperature, and the reliability diagram.

    Args:
        name: of the teacher, for the title.
        statistics: of its output.
        path: of the PNG; its folder exists.

    Raises:
        ImportError: if matplotlib is not installed.
    """
    try:
        from matplotlib import colormaps
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError('plots need matplotlib: pip install "mmseg-kd[report]"') from error
    figure = Figure(figsize=(11, 4.4), dpi=120, layout='constrained')
    # A canvas of its own, so that neither the user's backend nor open figures are touched.
    canvas = FigureCanvasAgg(figure)
    figure.suptitle(f'{name}: {statistics.images} images, mIoU {100 * statistics.miou:.1f} %')
    left, right = figure.subplots(1, 2, width_ratios=(1.7, 1))
    count = len(statistics.temperatures)
    colors = colormaps['viridis'](np.linspace(0, 0.9, count))
    edges = np.linspace(0, 1, DRAWN_BINS + 1)
    for temperature, shares, median, color in zip(
        statistics.temperatures, statistics.shares(DRAWN_BINS), statistics.median_entropy(), colors
    ):
        left.stairs(100 * shares, edges, color=color, linewidth=1.6, label=f'T = {temperature:g}, median {median:.2f}')
        left.axvline(median, color=color, linewidth=0.8, linestyle=':')
    # One temperature may have nearly all its pixels in one bin, beside which the others would not be seen.
    left.set_yscale('log')
    left.set(
        xlim=(0, 1),
        ylim=(1e-2, 100),
        xlabel='entropy of the softened output / log C',
        ylabel=f'share of pixels in a bin of {1 / DRAWN_BINS:g}, % (log scale)',
    )
    left.secondary_xaxis(
        'top', functions=(lambda x: x * statistics.max_entropy, lambda x: x / statistics.max_entropy)
    ).set_xlabel('nats')
    left.legend(framealpha=1, edgecolor='none', fontsize=9)

    bins = [entry for entry in statistics.reliability() if entry[2]]
    width = 1 / CALIBRATION_BINS
    shares = [pixels / statistics.pixels for _, _, pixels, _, _ in bins]
    right.bar(
        [low for low, *_ in bins],
        [accuracy for *_, accuracy, _ in bins],
        width,
        align='edge',
        edgecolor='white',
        color='#4c72b0',
        label='accuracy',
    )
    right.plot([0, 1], [0, 1], color='black', linewidth=1, linestyle='--', label='calibrated')
    right.plot(
        [(low + high) / 2 for low, high, *_ in bins],
        shares,
        color='#dd8452',
        marker='o',
        markersize=3,
        linewidth=1.2,
        label='share of pixels',
    )
    right.set(
        xlim=(0, 1),
        ylim=(0, 1),
        xlabel='confidence',
        ylabel='accuracy; share of pixels',
        title=f'ECE {100 * statistics.ece:.2f} %',
    )
    right.legend(frameon=False, fontsize=9, loc='upper left')
    canvas.print_png(str(path))
