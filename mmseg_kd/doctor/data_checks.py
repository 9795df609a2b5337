"""Checks of the data: all files exist, and the labels fit the config."""

import copy
import os
from collections.abc import Sequence

import numpy as np
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from ..datasets import LoadUnknownAnnotations
from ..datasets.even_subset import even_subset
from ..datasets.image_list import endings_beside, listed_images
from ..datasets.reading import read_labels
from ..distillers.teacher import Teacher
from ..engine.views import show_originals
from ..io.errors import ConfigError
from .diagnosis import Reporter

MASK = 255  # the second class in masks that were saved as pictures


def check_data(
    report: Reporter,
    config: Config,
    loader: str,
    num_classes: int,
    ignore_index: int,
    samples: int,
    teachers: dict[str, Teacher] | None = None,
) -> DataLoader:
    """Build a data set, check that all of its files exist, and read some of its label maps.

    Args:
        report: receiver of findings.
        config: training config.
        loader: key of the data loader, such as ``'train_dataloader'``.
        num_classes: number of classes of the student; 0 for the number of the data set.
        ignore_index: label of ignored pixels.
        samples: number of label maps to read, spread evenly over the data set.
        teachers: teachers that may need the original pixels of the images.

    Returns:
        DataLoader: data loader of the training, without worker processes.

    Raises:
        ValueError: if the data set cannot be built or read, or is empty.
    """
    if config.get(loader) is None:
        raise ValueError(f'there is no {loader}; add one to the config')
    try:
        built = Runner.build_dataloader(show_originals(without_workers(config[loader]), teachers or {}), seed=0)
    except ConfigError:  # names the key and the remedy
        raise
    except (OSError, ValueError, AssertionError) as error:
        # The errors of MMEngine for a data set without images, and of MMSegmentation for one without files.
        empty = 'need at least one array' in str(error) or not str(error)
        endings = endings_beside(config[loader].dataset) if empty else ''
        raise ValueError(
            f'{"no image was found" if empty else error}; {_where(config, loader)}, img_suffix{endings}'
        ) from None
    dataset = built.dataset
    images = listed_images(dataset)
    absent = _absent_files(dataset, images)
    if absent:
        report.failed(
            f'{len(absent)} files are missing, such as {absent[0]}; {_where(config, loader)}, seg_map_suffix'
            f'{_list_mark(images, absent)}'
        )
        return built
    if not images:
        report.ok(f'{len(dataset)} images ({type(dataset).__name__}, which has no list of files to check)')
        return built

    # A network with one class has one channel, for object and background: labels 0 and 1.
    num_classes = max(num_classes or len(dataset.metainfo['classes']), 2)
    counts, stored, doubts = np.zeros(num_classes, np.int64), set(), []
    pixels = 0
    leaves = {id(leaf): leaf for leaf, _ in images}
    unlabeled = {key for key, leaf in leaves.items() if _teacher_labels(leaf)}
    labeled = [(leaf, index) for leaf, index in images if id(leaf) not in unlabeled]
    if not labeled:
        report.ok(f'{_numbers(dataset, images)}, no file missing; the teacher labels all')
        return built
    chosen = even_subset(len(labeled), samples)
    for position in chosen:
        leaf, index = labeled[position]
        read = read_labels(leaf, index, f'{loader}.dataset')
        values, numbers = np.unique(read.labels, return_counts=True)
        known = values != ignore_index
        strange = values[known & ((values < 0) | (values >= num_classes))]
        if len(strange):
            report.failed(
                f'labels must lie in 0..{num_classes - 1} or be {ignore_index} (ignored), but {read.path} holds '
                f'{", ".join(map(str, strange[:5]))}; check {loader}.dataset.reduce_zero_label, the label '
                'files, or num_classes of the heads'
            )
            return built
        counts[values[known]] += numbers[known]
        pixels += read.labels.size
        stored.update(read.stored)
        doubts += [read.doubt] if read.doubt else []
    if stored == {0, MASK} and ignore_index == MASK and num_classes == 2:
        report.failed(
            f'the label files of {len(chosen)} images hold only 0 and {MASK}, and {MASK} is ignored, so one class '
            f'is never learned; save masks as 0 and 1 (labels // {MASK})'
        )
    elif not counts.any():
        report.failed(
            f'the label maps of {len(chosen)} images have only ignored pixels ({ignore_index}); check the label files '
            f'and {loader}.dataset.reduce_zero_label'
        )
    elif np.count_nonzero(counts) == 1:
        report.warning(
            f'the label maps of {len(chosen)} images have only one class, {counts.argmax()}; check the label '
            f'files, {loader}.dataset.reduce_zero_label and metainfo.classes, or check more label maps'
        )
    if doubts:
        report.warning(doubts[0] + (f' (in {len(doubts)} of {len(chosen)} images)' if len(doubts) > 1 else ''))
    if report.clean:
        report.ok(
            f'{_numbers(dataset, images)}, no file missing; labels of {len(chosen)}: {np.count_nonzero(counts)} of '
            f'{num_classes} classes, {100 - 100 * counts.sum() / pixels:.0f} % ignored'
        )
    return built


def _teacher_labels(dataset: BaseDataset) -> bool:
    return any(isinstance(step, LoadUnknownAnnotations) for step in dataset.pipeline.transforms)


def without_workers(loader: dict) -> dict:
    """The config of a data loader without worker processes."""
    loader = copy.deepcopy(loader)
    for key in ('prefetch_factor', 'multiprocessing_context', 'timeout'):
        loader.pop(key, None)
    loader.update(num_workers=0, persistent_workers=False)
    return loader


def _absent_files(dataset: BaseDataset, images: Sequence[tuple[BaseDataset, int]]) -> list[str]:
    infos = (leaf.get_data_info(index) for leaf, index in images if not getattr(leaf, 'backend_args', None))
    paths = [info[key] for info in infos for key in ('img_path', 'seg_map_path') if info.get(key)]
    paths += dataset.unlabeled_paths() if hasattr(dataset, 'unlabeled_paths') else []
    return [path for path in paths if '://' not in path and not os.path.exists(path)]


def _list_mark(images: Sequence[tuple[BaseDataset, int]], absent: Sequence[str]) -> str:
    """A note on marks or empty lines in a list file that MMSegmentation reads as names."""
    lists = ' and '.join(sorted({str(leaf.ann_file) for leaf, _ in images if getattr(leaf, 'ann_file', '')}))
    if any('\ufeff' in path for path in absent):
        return f'; {lists} starts with a byte-order mark: save it as UTF-8 without one'
    if any(os.path.basename(path).startswith('.') for path in absent):
        return f'; {lists} has empty lines: remove them'
    return ''


def _numbers(dataset: BaseDataset, images: Sequence[tuple[BaseDataset, int]]) -> str:
    if hasattr(dataset, 'unlabeled_paths'):
        return f'{len(images)} labeled and {len(dataset.unlabeled_paths())} unlabeled images'
    items = f' ({len(dataset)} items of {type(dataset).__name__})' if len(dataset) != len(images) else ''
    return f'{len(images)} images{items}'


def _where(config: Config, loader: str) -> str:
    dataset = config[loader].get('dataset', {})
    root = dataset.get('data_root') if isinstance(dataset, dict) else None
    return f'check {loader}.dataset.data_root' + (f' ("{root}")' if root else '') + ', data_prefix, ann_file'
