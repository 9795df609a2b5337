"""Is the data there, and does it mean what the config says?"""

import copy
import os
from collections.abc import Sequence

import numpy as np
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from ..datasets.even_subset import even_subset
from ..datasets.image_list import endings_beside, listed_images
from ..datasets.reading import read_labels
from .diagnosis import Say

MASK = 255  # the second class of masks that are made to be looked at


def check_data(say: Say, config: Config, loader: str, num_classes: int, void: int, samples: int) -> DataLoader:
    """Build a data set, look for all of its files, and read some of its label maps, whole.

    Args:
        say: to speak through.
        config: of the run.
        loader: key of the data loader, such as ``'train_dataloader'``.
        num_classes: classes of the student; 0 where that is not known: those of the data set.
        void: label that the student ignores.
        samples: label maps to read, spread evenly over the data set.

    Returns:
        DataLoader: like that of the run, without workers.

    Raises:
        ValueError: if it cannot be built or read, or is empty.
    """
    if config.get(loader) is None:
        raise ValueError(f'there is no {loader}; add one to the config')
    try:
        built = Runner.build_dataloader(without_workers(config[loader]), seed=0)
    except (OSError, ValueError, AssertionError) as error:
        # What MMEngine says of a data set without an image, and MMSegmentation of one without its files.
        empty = 'need at least one array' in str(error) or not str(error)
        endings = endings_beside(config[loader].dataset) if empty else ''
        raise ValueError(
            f'{"no image was found" if empty else error}; {_where(config, loader)}, img_suffix{endings}'
        ) from None
    dataset = built.dataset
    images = listed_images(dataset)
    absent = _absent_files(dataset, images)
    if absent:
        say.failed(
            f'{len(absent)} files are missing, such as {absent[0]}; {_where(config, loader)}, seg_map_suffix'
            f'{_list_mark(images, absent)}'
        )
        return built
    if not images:
        say.ok(f'{len(dataset)} images ({type(dataset).__name__}, which has no list of files to look at)')
        return built

    # A network of one class has one channel, and tells it from background: labels 0 and 1.
    num_classes = max(num_classes or len(dataset.metainfo['classes']), 2)
    counts, stored, doubts = np.zeros(num_classes, np.int64), set(), []
    pixels = 0
    chosen = even_subset(len(images), samples)
    for place in chosen:
        leaf, index = images[place]
        read = read_labels(leaf, index, f'{loader}.dataset')
        values, numbers = np.unique(read.labels, return_counts=True)
        known = values != void
        strange = values[known & ((values < 0) | (values >= num_classes))]
        if len(strange):
            say.failed(
                f'labels must lie in 0..{num_classes - 1} or be {void} (void), but {read.path} holds '
                f'{", ".join(map(str, strange[:5]))}; check {loader}.dataset.reduce_zero_label, the label '
                'files, or num_classes of the heads'
            )
            return built
        counts[values[known]] += numbers[known]
        pixels += read.labels.size
        stored.update(read.stored)
        doubts += [read.doubt] if read.doubt else []
    if stored == {0, MASK} and void == MASK and num_classes == 2:
        say.failed(
            f'the label files of {len(chosen)} images hold 0 and {MASK} alone, and {MASK} is void, so one class '
            f'is never learned; save masks as 0 and 1 (labels // {MASK})'
        )
    elif not counts.any():
        say.failed(
            f'the label maps of {len(chosen)} images hold nothing but void ({void}); check the label files and '
            f'{loader}.dataset.reduce_zero_label'
        )
    elif np.count_nonzero(counts) == 1:
        say.warning(
            f'the label maps of {len(chosen)} images hold one class alone, {counts.argmax()}; check the label '
            f'files, {loader}.dataset.reduce_zero_label and metainfo.classes, or look at more of them'
        )
    if doubts:
        say.warning(doubts[0] + (f' (so are {len(doubts)} of {len(chosen)} images)' if len(doubts) > 1 else ''))
    if say.clean:
        say.ok(
            f'{_numbers(dataset, images)}, no file missing; labels of {len(chosen)}: {np.count_nonzero(counts)} of '
            f'{num_classes} classes, {100 - 100 * counts.sum() / pixels:.0f} % void'
        )
    return built


def without_workers(loader: dict) -> dict:
    """The config of a data loader that reads in this process."""
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
    """What makes MMSegmentation read names from a list that nobody wrote there."""
    lists = ' and '.join(sorted({str(leaf.ann_file) for leaf, _ in images if getattr(leaf, 'ann_file', '')}))
    if any('\ufeff' in path for path in absent):
        return f'; {lists} begins with a byte-order mark: save it as UTF-8 without one'
    if any(os.path.basename(path).startswith('.') for path in absent):
        return f'; {lists} has empty lines: remove them'
    return ''


def _numbers(dataset: BaseDataset, images: Sequence[tuple[BaseDataset, int]]) -> str:
    if hasattr(dataset, 'unlabeled_paths'):
        return f'{len(images)} labeled and {len(dataset.unlabeled_paths())} unlabeled images'
    drawn = f' ({len(dataset)} items of {type(dataset).__name__})' if len(dataset) != len(images) else ''
    return f'{len(images)} images{drawn}'


def _where(config: Config, loader: str) -> str:
    dataset = config[loader].get('dataset', {})
    root = dataset.get('data_root') if isinstance(dataset, dict) else None
    return f'check {loader}.dataset.data_root' + (f' ("{root}")' if root else '') + ', data_prefix, ann_file'
