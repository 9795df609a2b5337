"""A picture of the validation images that a network segments best and worst."""

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mmengine.config import Config
from mmseg.models.segmentors import BaseSegmentor
from mmseg.registry import DATASETS

from ..datasets.reading import Pictures
from ..distillers.labels import ignored_label
from ..evaluation import ImageIoUMetric, evaluate, load_teachers, predictions, teacher_predict, trained_network
from ..evaluation.evaluate import Predict
from ..evaluation.pixels import label_maps
from ..io.tables import markdown_table
from ..labeling.class_areas import ClassAreas
from .picture_grid import PictureRow, class_legend, color_labels, draw_grid, palette_of


@dataclass
class Example:
    """One validation image with the predictions of the networks.

    Args:
        name: Name of the image file.
        place: Rank of the image, such as ``'best 1'`` or ``'worst 1'``.
        iou: IoU of the network's prediction in [0, 1]; see :func:`image_iou`.
        image: RGB image (H, W, 3), uint8, as the pipeline loads it, before resizing.
        labels: Label maps (H, W) by column, 255 for ignored pixels: ``'truth'``, ``'prediction'`` and every teacher.
    """

    name: str
    place: str
    iou: float
    image: np.ndarray
    labels: dict[str, np.ndarray]


@dataclass
class Examples:
    """The images of a validation set that a network segments best and worst.

    Args:
        shown: Best images, the best one first, then worst images, the worst one first.
        ious: IoU of every image in the order of the data set; NaN if all of its pixels are ignored.
        classes: Class names.
        palette: Red, green and blue in 0..255 of every class.
        no_teacher: Reason why the teachers' predictions are missing; None if they are shown or there are none.
    """

    shown: list[Example]
    ious: list[float]
    classes: list[str]
    palette: list[list[int]]
    no_teacher: str | None = None


def image_iou(predicted: np.ndarray, truth: np.ndarray, num_classes: int) -> float:
    """Intersection over union of one image, in [0, 1]: the mean over the classes that occur or are predicted in it.

    A class that is predicted but does not occur counts as 0. Classes in neither map do not count. The mean over images
    is not the mIoU of a validation, which first sums intersections and unions over all images.

    Args:
        predicted: Predicted classes (H, W).
        truth: Ground truth (H, W), 255 for ignored pixels.
        num_classes: Number of classes of the data set.

    Returns:
        float: IoU in [0, 1]; NaN if all pixels are ignored.

    Raises:
        ValueError: If the sizes differ, or a label is no class.
    """
    areas = ClassAreas(num_classes)
    areas.update(predicted, truth)
    return areas.miou


def best_and_worst(ious: Sequence[float], count: int) -> tuple[list[int], list[int]]:
    """Indices of the highest values, the highest first, and of the lowest values, the lowest first.

    The first of equal values ranks higher. NaN is left out. No index is in both lists; if there are fewer than
    ``2 * count`` values, the list of the best is filled first.

    Args:
        ious: IoU values.
        count: Number of best and of worst images.
    """
    order = sorted((i for i, iou in enumerate(ious) if not math.isnan(iou)), key=lambda i: -ious[i])
    return order[:count], order[count:][::-1][:count]


def find_examples(
    config: Config, checkpoint: str, count: int, report: Callable[[int, int], None] | None = None
) -> Examples:
    """Evaluate a network on all validation images, and its teachers on the images with the best and worst IoU.

    Args:
        config: Config of a segmentor, or of a distiller whose student is evaluated. Its ``val_dataloader`` must load
            labels.
        checkpoint: Checkpoint of the segmentor or distiller.
        count: Number of best and of worst images.
        report: Function that is called after every image with the number of finished images and of all images.

    Raises:
        CheckpointError: If the checkpoint is missing, unsafe or of another network.
        ValueError: If ``count`` is not >= 1, if the pipeline loads no labels, if all pixels are ignored, or if a label
            is no class.
    """
    if count < 1:
        raise ValueError(f'count must be >= 1, but is {count}')
    student: BaseSegmentor = trained_network(config, checkpoint)
    dataset = DATASETS.build(copy.deepcopy(config.val_dataloader.dataset))
    classes = list(dataset.metainfo['classes'])
    metric = ImageIoUMetric(ignore_index=ignored_label(student))
    told = None if report is None else lambda done: report(done, len(dataset))
    evaluate(predictions(student.test_step, dataset), metric, dataset.metainfo, told)
    ious = [areas.miou for _, areas in metric.images]
    best, worst = best_and_worst(ious, count)
    if not best:
        raise ValueError(
            f'at least one pixel must not be ignored, but of {len(ious)} images all are; check the label files'
        )

    teachers, reason = {}, None
    if 'teacher' in config.model:
        # The student's predictions are useful without the teacher's.
        try:
            teachers = load_teachers(config)
            for teacher in teachers.values():
                for member in teacher.members:
                    member.module.to(next(student.parameters()).device)
        except (OSError, ValueError) as error:
            teachers, reason = {}, str(error)
    predicts: dict[str, Predict] = dict(prediction=student.test_step)
    predicts.update({f'teacher {name}'.strip(): teacher_predict(teacher) for name, teacher in teachers.items()})
    maps: dict[str, list[np.ndarray]] = {}
    paths: list[str] = []
    for name, predict in predicts.items():
        samples = [sample.to_dict() for sample in predictions(predict, dataset, best + worst)]
        predicted, truth = zip(*(label_maps(sample, ignored_label(student)) for sample in samples))
        maps.setdefault('truth', [labels.cpu().numpy() for labels in truth])
        maps[name] = [labels.cpu().numpy() for labels in predicted]
        paths = [sample['img_path'] for sample in samples]
    pictures = Pictures(dataset, student)
    places = [f'{kind} {rank}' for kind, some in (('best', best), ('worst', worst)) for rank in range(1, len(some) + 1)]
    shown = [
        Example(
            Path(paths[i]).name,
            place,
            ious[index],
            pictures(paths[i]),
            {name: found[i] for name, found in maps.items()},
        )
        for i, (place, index) in enumerate(zip(places, best + worst))
    ]
    return Examples(shown, ious, classes, palette_of(dataset.metainfo), reason)


def examples_report(examples: Examples) -> str:
    """The shown images with their IoU as a Markdown table, and the range of IoU over all images.

    Args:
        examples: Examples of a network.
    """
    known = [iou for iou in examples.ious if not math.isnan(iou)]
    rows = [('', 'image', 'IoU, %')]
    rows += [(example.place, example.name, f'{100 * example.iou:.1f}') for example in examples.shown]
    spread = ', '.join(
        f'{word} {100 * value:.1f}'
        for word, value in (('lowest', min(known)), ('median', float(np.median(known))), ('highest', max(known)))
    )
    return f'{markdown_table(rows)}\n\nIoU of {len(known)} images, %: {spread}.\n'


def draw_examples(examples: Examples, path: str | Path) -> None:
    """Write a PNG with one row per image: image, truth, and the predictions of network and teachers.

    Args:
        examples: Examples of a network.
        path: Path of the PNG in an existing folder.

    Raises:
        ImportError: if matplotlib is not installed.
    """
    palette = examples.palette
    rows = [
        PictureRow(
            f'{example.place}: {example.name}, IoU {100 * example.iou:.1f} %',
            [example.image, *(color_labels(labels, palette) for labels in example.labels.values())],
        )
        for example in examples.shown
    ]
    maps = [labels for example in examples.shown for labels in example.labels.values()]
    draw_grid(['image', *examples.shown[0].labels], rows, class_legend(maps, examples.classes, palette), path)
