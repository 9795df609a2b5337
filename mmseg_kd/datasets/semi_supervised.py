"""Labeled and unlabeled images side by side, as a pure function of a seed and a number."""

import logging
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from mmcv.transforms import LoadAnnotations
from mmengine.dataset import Compose
from mmengine.logging import print_log
from mmseg.registry import DATASETS
from torch.utils.data import Dataset

from .image_list import NAMED, ImageList, overlap
from .partitions import Partition, labeled_part, read_ids
from .transforms import LoadBlankAnnotations

LABELED = 0  # numbers of the streams that things are drawn from; the unlabeled branches follow


@DATASETS.register_module()
class SemiSupervisedDataset(Dataset):
    """One labeled image, and one unlabeled image for each unlabeled branch.

    Item n is ``dict(labeled=..., unlabeled=[..., ...])``, each entry what ``PackSegInputs`` gives. It depends on the
    files, :attr:`seed` and n alone, for n without end (:class:`StreamSampler`): the labeled image is
    ``permutation(seed, n // L)[n % L]`` of the L labeled ones, so that each is drawn equally often however many more
    unlabeled ones there are. Every branch has such permutations of its own; those of two branches differ in every
    place, so an item never has the same image twice (the published code of CPS pairs every image with itself).
    Augmentations draw from Python's, NumPy's and torch's global generators, which are seeded for it by ``seed``, n and
    the branch, and are restored afterwards.

    An unlabeled branch is told neither labels nor where they are. An image that cannot be read is named and ends the
    run; an unlabeled one is passed over, with a warning and with the next of the permutation in its place, where the
    branch loads with ``dict(type='LoadImageFromFile', ignore_empty=True)``.

    Args:
        labeled: config of the training set, with its pipeline: any data set that lists images, or a ``ConcatDataset``
            of such.
        unlabeled_pipelines: of the unlabeled branches, one or two; each has ``LoadBlankAnnotations`` where labeled
            images have ``LoadAnnotations``.
        partition: which images of ``labeled`` are labeled: the name of a published partition (``'cityscapes/1_8'``),
            a list file, ``dict(fraction=..., seed=...)``, or two list files, ``dict(labeled=..., unlabeled=...)``; see
            :mod:`mmseg_kd.datasets.partitions`. None: all.
        unlabeled: config of a data set whose images, all or those listed, are the unlabeled ones, such as
            ``dict(type='UnlabeledFolderDataset', folder='...')``; its pipeline and labels are not used. None: they are
            the rest of ``labeled``, or those of it that are listed.

    Attributes:
        seed: of all that is drawn; set by the sampler.
        labeled: places of the labeled images in the data set ``labeled``, ascending.
        unlabeled: places of the unlabeled ones in the data set ``unlabeled``, or in ``labeled`` if there is none.

    Raises:
        ValueError: if ids do not exist, a list is empty, or an image is both labeled and unlabeled.
    """

    def __init__(
        self,
        labeled: dict,
        unlabeled_pipelines: Sequence[Sequence[dict]],
        partition: Partition | None = None,
        unlabeled: dict | None = None,
    ) -> None:
        self.seed = 0
        self._branches = _build_branches(unlabeled_pipelines)
        self._labeled_images = ImageList(labeled, 'labeled')
        self._unlabeled_images = self._labeled_images if unlabeled is None else ImageList(unlabeled, 'unlabeled')
        everything = np.arange(len(self._labeled_images))
        self.labeled = everything if partition is None else labeled_part(self._labeled_images, partition)
        if isinstance(partition, dict) and 'unlabeled' in partition:
            source = partition['unlabeled']
            self.unlabeled = self._unlabeled_images.find(read_ids(source), f'partition.unlabeled {source}')
        elif unlabeled is None:
            self.unlabeled = np.setdiff1d(everything, self.labeled)
        else:
            self.unlabeled = np.arange(len(self._unlabeled_images))
        self._check_lists()
        self._passed_over: set[str] = set()

    @property
    def metainfo(self) -> dict:
        """That of the labeled data set: classes and palette."""
        return self._labeled_images.metainfo

    def listed_images(self) -> list[tuple[Dataset, int]]:
        """The labeled images: the data set that lists each, and its number there."""
        return [self._labeled_images.locate(index) for index in self.labeled]

    def unlabeled_paths(self) -> list[str]:
        """The files of the unlabeled images."""
        return [self._unlabeled_images.info(index)['img_path'] for index in self.unlabeled]

    def __len__(self) -> int:
        """The longer list; numbers beyond it go on with the next permutation."""
        return max(len(self.labeled), len(self.unlabeled))

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self[n] for n in range(len(self)))

    def __getitem__(self, n: int) -> dict[str, Any]:
        epoch, place = divmod(n, len(self.labeled))
        index = self.labeled[permutation(self.seed, LABELED, epoch, len(self.labeled))[place]]
        with _seeded(self.seed, LABELED, n):
            labeled = _load(self._labeled_images.info(index), self._labeled_images.transforms(index), 'labeled')
        if labeled is None:
            path = self._labeled_images.info(index)['img_path']
            raise ValueError(
                f'labeled: {path} was dropped by a transform of its pipeline; leave ignore_empty=True '
                'out, and mend the image or take it out of the list'
            )
        taken: set[int] = set()
        return dict(labeled=labeled, unlabeled=[self._draw(n, number, taken) for number in range(len(self._branches))])

    def _draw(self, n: int, number: int, taken: set[int]) -> dict:
        total = len(self.unlabeled)
        epoch, place = divmod(n, total)
        order = branch_orders(self.seed, epoch, total)[number]
        with _seeded(self.seed, LABELED + 1 + number, n):
            # Only an image that is passed over brings a second round.
            for index in (order[(place + step) % total] for step in range(total)):
                if index in taken and total > 1:
                    continue
                info = self._unlabeled_images.info(self.unlabeled[index])
                info.pop('seg_map_path', None)
                item = _load(info, self._branches[number], f'unlabeled_pipelines[{number}]')
                if item is not None:
                    taken.add(index)
                    return item
                self._warn(info['img_path'])
        raise ValueError(
            f'unlabeled_pipelines[{number}]: none of the {total} unlabeled images can be read, or none '
            'is left for this branch; check the files'
        )

    def _warn(self, path: str) -> None:
        if path not in self._passed_over:
            self._passed_over.add(path)
            print_log(
                f'unlabeled image {path} was passed over: it cannot be read', logger='current', level=logging.WARNING
            )

    def _check_lists(self) -> None:
        if not len(self.unlabeled):
            raise ValueError(
                f'no image is left unlabeled: all {len(self.labeled)} of labeled are labeled; set a '
                'smaller partition, or unlabeled to another data set'
            )
        labeled, unlabeled = self._labeled_images.paths(), self._unlabeled_images.paths()
        both = overlap([labeled[index] for index in self.labeled], [unlabeled[index] for index in self.unlabeled])
        if both:
            raise ValueError(
                f'{len(both)} images are both labeled and unlabeled, such as '
                f'{", ".join(both[:NAMED])}; take them out of one of the lists, or leave unlabeled out: '
                'it is then the rest of labeled'
            )


@lru_cache(maxsize=8)
def permutation(seed: int, stream: int, epoch: int, size: int) -> np.ndarray:
    """The order of ``size`` images in a pass over them."""
    return np.random.default_rng([seed, stream, epoch]).permutation(size)


@lru_cache(maxsize=4)
def branch_orders(seed: int, epoch: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Two orders of the unlabeled images in a pass over them, which differ in every place."""
    first, second = (permutation(seed, LABELED + 1 + number, epoch, size) for number in range(2))
    return first, apart(first, second)


def apart(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """A permutation that is ``second`` but for the places where that meets ``first``, where they are exchanged."""
    meeting = np.flatnonzero(first == second)
    if len(meeting) == 1:
        meeting = np.append(meeting, (meeting + 1) % len(first))
    result = second.copy()
    result[meeting] = second[np.roll(meeting, 1)]
    return result


def _build_branches(pipelines: Sequence[Sequence[dict]]) -> list[Sequence]:
    if (
        not isinstance(pipelines, (list, tuple))
        or len(pipelines) not in (1, 2)
        or not all(isinstance(pipeline, (list, tuple)) for pipeline in pipelines)
    ):
        raise ValueError('unlabeled_pipelines must be a list of one or two pipelines, each a list of transforms')
    branches = [Compose(pipeline).transforms for pipeline in pipelines]
    for number, transforms in enumerate(branches):
        kinds = [type(transform).__name__ for transform in transforms if isinstance(transform, LoadAnnotations)]
        if kinds or not any(isinstance(transform, LoadBlankAnnotations) for transform in transforms):
            raise ValueError(
                f'unlabeled_pipelines[{number}] must have LoadBlankAnnotations after LoadImageFromFile'
                f'{f", in place of {kinds[0]}" if kinds else ""}'
            )
    return branches


def _load(info: dict, transforms: Sequence, key: str) -> dict | None:
    """What a pipeline makes of an image; None if a transform drops it.

    Raises:
        ValueError: naming the image, if it cannot be read.
    """
    path, results = info['img_path'], info
    for transform in transforms:
        try:
            results = transform(results)
        except Exception as error:
            if 'img' in results:
                raise
            # MMCV passes over a file that it cannot open, but not over one that holds no image.
            if getattr(transform, 'ignore_empty', False):
                return None
            reason = ' '.join(str(error).split()) or type(error).__name__
            raise ValueError(
                f"{key}: {path} can't be read ({reason}); mend it or take it out of the list"
                f'{_REMEDY if key != "labeled" else ""}'
            ) from error
        if results is None:
            return None
    return results


_REMEDY = ", or pass over what can't be read with dict(type='LoadImageFromFile', ignore_empty=True)"


@contextmanager
def _seeded(*words: int) -> Iterator[None]:
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    seeds = np.random.SeedSequence(words).generate_state(3)
    random.seed(int(seeds[0]))
    np.random.seed(seeds[1])
    # Not torch.manual_seed, which would also reach the generators of the GPUs.
    torch.default_generator.manual_seed(int(seeds[2]))
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])
