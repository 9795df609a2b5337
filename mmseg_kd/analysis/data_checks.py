"""Is the data there, and does it mean what the config says?"""
import copy
import os
from typing import Iterator, List, Tuple

import numpy as np
from mmengine.config import Config
from mmengine.runner import Runner
from torch.utils.data import DataLoader, Dataset

from .diagnosis import Say


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
        # What MMEngine says of a data set without an image.
        empty = 'need at least one array' in str(error)
        raise ValueError(f'{"no image was found" if empty else error}; {_where(config, loader)}, img_suffix') from None
    number = len(built.dataset)
    leaves = list(_leaves(built.dataset))
    absent = [path for leaf in leaves for path in _absent_files(leaf)]
    if absent:
        say.failed(f'{len(absent)} files are missing, such as {absent[0]}; {_where(config, loader)}, seg_map_suffix')
        return built
    readable = [leaf for leaf in leaves if hasattr(leaf, 'get_data_info')]
    if not readable:
        say.ok(f'{number} images ({type(built.dataset).__name__}, which has no list of files to look at)')
        return built

    num_classes = num_classes or len(built.dataset.metainfo['classes'])
    share = max(1, samples // len(readable))
    counts = np.zeros(num_classes, np.int64)
    read = pixels = 0
    for leaf in readable:
        for index in np.unique(np.linspace(0, len(leaf) - 1, share).astype(int)):
            labels, path = read_labels(leaf, int(index), loader)
            values, numbers = np.unique(labels, return_counts=True)
            known = values != void
            strange = values[known & ((values < 0) | (values >= num_classes))]
            if len(strange):
                say.failed(f'labels must lie in 0..{num_classes - 1} or be {void} (void), but {path} holds '
                           f'{", ".join(map(str, strange[:5]))}; check {loader}.dataset.reduce_zero_label, the label '
                           'files, or num_classes of the heads')
                return built
            counts[values[known]] += numbers[known]
            read, pixels = read + 1, pixels + labels.size
    if not counts.any():
        say.failed(f'the label maps of {read} images hold nothing but void ({void}); check the label files and '
                   f'{loader}.dataset.reduce_zero_label')
        return built
    say.ok(f'{number} images, no file missing; labels of {read}: {np.count_nonzero(counts)} of {num_classes} classes, '
           f'{100 - 100 * counts.sum() / pixels:.0f} % void')
    return built


def read_labels(dataset: Dataset, index: int, loader: str) -> Tuple[np.ndarray, str]:
    """A whole label map, as the first transforms of the pipeline load it, and its file.

    Raises:
        ValueError: if the pipeline loads none, or one of another size than the image.
    """
    sample = dataset.get_data_info(index)
    for transform in dataset.pipeline.transforms:
        sample = transform(sample)
        if sample is None or 'gt_seg_map' in sample:
            break
    if not sample or 'gt_seg_map' not in sample:
        raise ValueError(f"no transform loads labels; add dict(type='LoadAnnotations') to {loader}.dataset.pipeline")
    labels, path = sample['gt_seg_map'], sample.get('seg_map_path', f'image {index}')
    size = sample.get('ori_shape')
    if size is not None and tuple(size) != labels.shape:
        raise ValueError(f'{path} is {labels.shape[0]}x{labels.shape[1]}, but its image is {size[0]}x{size[1]}; check '
                         f'{loader}.dataset.data_prefix')
    return labels, path


def without_workers(loader: dict) -> dict:
    """The config of a data loader that reads in this process."""
    loader = copy.deepcopy(loader)
    for key in ('prefetch_factor', 'multiprocessing_context', 'timeout'):
        loader.pop(key, None)
    loader.update(num_workers=0, persistent_workers=False)
    return loader


def _leaves(dataset: Dataset) -> Iterator[Dataset]:
    """The data sets inside of those that join, repeat or mix others."""
    inner = getattr(dataset, 'datasets', None) or [getattr(dataset, name) for name in ('dataset', '_dataset')
                                                   if hasattr(dataset, name)]
    if not inner:
        yield dataset
    for child in inner:
        yield from _leaves(child)


def _absent_files(dataset: Dataset) -> List[str]:
    if not hasattr(dataset, 'get_data_info') or getattr(dataset, 'backend_args', None):
        return []
    infos = (dataset.get_data_info(index) for index in range(len(dataset)))
    paths = (info[key] for info in infos for key in ('img_path', 'seg_map_path') if info.get(key))
    return [path for path in paths if '://' not in path and not os.path.exists(path)]


def _where(config: Config, loader: str) -> str:
    dataset = config[loader].get('dataset', {})
    root = dataset.get('data_root') if isinstance(dataset, dict) else None
    return f'check {loader}.dataset.data_root' + (f' ("{root}")' if root else '') + ', data_prefix, ann_file'
