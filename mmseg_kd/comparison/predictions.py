"""Predictions of the networks in a comparison, from their checkpoints."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.models.segmentors import BaseSegmentor
from mmseg.registry import DATASETS

from ..datasets.even_subset import even_subset
from ..datasets.reading import Pictures
from ..distillers.labels import ignored_label
from ..evaluation import predictions, trained_network
from ..evaluation.pixels import label_maps
from ..io.built_types import check_built_types
from ..io.config_text import read_written_config
from ..io.runs import Run, pointed_checkpoint
from ..visualization.picture_grid import palette_of
from .comparison import Comparison


@dataclass
class Predictions:
    """Predictions of several networks for a few validation images.

    Args:
        images: images (H, W, 3), uint8, RGB, as loaded, before resizing.
        truth: label maps (H, W); 255 marks ignored pixels.
        labels: predicted label maps (H, W) by the name of the row.
        classes: names of the classes.
        palette: red, green and blue of every class, in 0..255.
        missing: names of the rows without predictions, each with the reason.

    Example:
        >>> Predictions([], [], {}, ['road'], [[128, 64, 128]], []).classes
        ['road']
    """

    images: list[np.ndarray]
    truth: list[np.ndarray]
    labels: dict[str, list[np.ndarray]]
    classes: list[str]
    palette: list[list[int]]
    missing: list[tuple[str, str]]


def predict(comparison: Comparison, count: int) -> Predictions:
    """Predict a few images with one network of every row: the first seed that has a checkpoint.

    Args:
        comparison: comparison whose runs name checkpoints and data.
        count: number of validation images, spread over the data set.
    """
    found = Predictions([], [], {}, [], [], [])
    for row in comparison.rows:
        run = next((run for run in row.runs if last_checkpoint(run) is not None), None)
        if run is None:
            found.missing.append((row.name, 'no checkpoint is left'))
            continue
        # Data or modules of the user may be missing or changed: the other networks are shown nevertheless.
        try:
            _predict_one(run, row.name, count, found)
        except Exception as error:
            found.missing.append((row.name, (str(error).splitlines() or [''])[0] or type(error).__name__))
    return found


def last_checkpoint(run: Run) -> Path | None:
    """The newest checkpoint in the folder of a run, or else its exported student.

    Args:
        run: run whose folder may have been moved.

    Example:
        >>> last_checkpoint(Run(Path('moved'))) is None
        True
    """
    named = pointed_checkpoint(run.folder)
    counted = sorted(
        (int(match[1]), path)
        for path in run.folder.glob('*.pth')
        for match in [re.fullmatch(r'(?:iter|epoch)_(\d+)\.pth', path.name)]
        if match
    )
    candidates = [named, *(path for _, path in reversed(counted)), run.folder / 'student' / 'student.pth']
    return next((path for path in candidates if path is not None and path.is_file()), None)


def _predict_one(run: Run, name: str, count: int, found: Predictions) -> None:
    config = Config(read_written_config(str(run.config_file)))
    check_built_types(config, str(run.config_file))
    init_default_scope(config.get('default_scope') or 'mmseg')
    model: BaseSegmentor = trained_network(config, str(last_checkpoint(run)))
    dataset = DATASETS.build(config.val_dataloader.dataset)
    if not len(dataset):
        raise ValueError('there is no validation image')
    indices = even_subset(len(dataset), count)
    samples = [sample.to_dict() for sample in predictions(model.test_step, dataset, indices)]
    maps = [label_maps(sample, ignored_label(model)) for sample in samples]
    if not found.images:
        found.images = list(map(Pictures(dataset, model), (sample['img_path'] for sample in samples)))
        found.truth = [truth.cpu().numpy() for _, truth in maps]
        found.classes, found.palette = list(dataset.metainfo['classes']), palette_of(dataset.metainfo)
    found.labels[name] = [predicted.cpu().numpy() for predicted, _ in maps]
