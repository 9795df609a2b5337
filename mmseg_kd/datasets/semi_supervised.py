"""Pairs of labeled and unlabeled images; each item depends only on a seed and the item's number."""

import copy
import logging
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from mmcv.transforms import LoadAnnotations
from mmengine.dataset import Compose
from mmengine.logging import print_log
from mmseg.registry import DATASETS
from torch.utils.data import ConcatDataset, Dataset

from .image_list import NAMED, ImageList, overlap
from .partitions import Partition, labeled_part, read_ids
from .seeding import permutation
from .transforms import LoadBlankAnnotations
from .view_dataset import ViewDataset

LABELED = 0  # number of the random stream of labeled images; the unlabeled branches follow


@DATASETS.register_module()
class SemiSupervisedDataset(Dataset):
    """One labeled image with one unlabeled image for each unlabeled branch.

    Item n is ``dict(labeled=..., unlabeled=[..., ...])`` with entries in the format of ``PackSegInputs``. It depends
    only on the files, on :attr:`seed` and on n, which has no upper limit (:class:`StreamSampler`). Of L labeled images,
    item n holds number ``permutation(seed, n // L)[n % L]``, so each labeled image is used equally often, even if there
    are many more unlabeled ones. Each branch has its own permutations. Those of two branches differ at every position,
    so an item never holds the same image twice (the published code of CPS pairs every image with itself).

    The augmentations are numbered (:class:`ViewDataset`). Branches with equal pipelines share the views of the
    unlabeled images: of two such branches, the first shows view 2 p in pass p, and the second view 2 p + 1. With
    ``views`` = K, view k + K is view k again, while pairs of images and boxes that are mixed stay new in each pass. If
    there are R times as many unlabeled images as labeled ones (rounded), the labeled ones are listed R times, and pass
    p over them shows view p // R of copy p % R. So each has K R augmentations.

    Unlabeled branches get neither labels nor paths of labels. An image that cannot be read ends the run with an error
    that names it. Unlabeled images that cannot be read are skipped with a warning, and replaced by the next one of the
    permutation, if the branch uses ``dict(type='LoadImageFromFile', ignore_empty=True)``.

    Args:
        labeled: Config of the training set, with its pipeline: any data set that lists images, or a ``ConcatDataset``
            of such data sets.
        unlabeled_pipelines: Pipelines of the unlabeled branches, one or two, with ``LoadBlankAnnotations`` instead of
            ``LoadAnnotations``.
        partition: Choice of the labeled images in ``labeled``: name of a published partition (``'cityscapes/1_8'``),
            list file, ``dict(fraction=..., seed=...)``, or two list files, ``dict(labeled=..., unlabeled=...)``; see
            :mod:`mmseg_kd.datasets.partitions`. None for all images.
        unlabeled: Config of a data set with the unlabeled images, such as
            ``dict(type='UnlabeledFolderDataset', folder='...')``; its pipeline and labels are not used. None for the
            remaining or listed images of ``labeled``.
        views: Number of views of each image, as for :class:`ViewDataset`; a teacher with a cache sets it.
        view_seed: Seed of the augmentations, as for :class:`ViewDataset`.

    Attributes:
        images: All images, as a :class:`ViewDataset`: the R copies of the labeled ones, then the unlabeled ones, once
            for each distinct pipeline. The numbers in ``metainfo['view']`` are theirs.
        labeled: Indices of the labeled images in the data set ``labeled``, ascending.
        unlabeled: Indices of the unlabeled images in the data set ``unlabeled``, or in ``labeled`` if there is none.

    Raises:
        ValueError: If ids do not exist, a list is empty, or an image is both labeled and unlabeled.

    Example:
        >>> from mmseg_kd.datasets import CamVidDataset
        >>> from mmseg_kd.testing.trees import write_camvid_tree
        >>> root = write_camvid_tree('camvid', images=8, size=(8, 8))
        >>> load, pack = dict(type='LoadImageFromFile'), dict(type='PackSegInputs')
        >>> prefix = dict(img_path='img_dir/train', seg_map_path='ann_dir/train')
        >>> camvid = dict(type='CamVidDataset', data_root=str(root), data_prefix=prefix,
        ...               pipeline=[load, dict(type='LoadAnnotations'), pack])
        >>> dataset = SemiSupervisedDataset(
        ...     camvid, [[load, dict(type='LoadBlankAnnotations'), pack]], dict(fraction=0.25, seed=0)
        ... )
        >>> len(dataset.labeled), len(dataset.unlabeled), sorted(dataset[0])
        (2, 6, ['labeled', 'unlabeled'])
    """

    def __init__(
        self,
        labeled: dict,
        unlabeled_pipelines: Sequence[Sequence[dict]],
        partition: Partition | None = None,
        unlabeled: dict | None = None,
        views: int | None = None,
        view_seed: int | None = None,
    ) -> None:
        transforms = _build_branches(unlabeled_pipelines)
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
        self._copies = max(1, round(len(self.unlabeled) / len(self.labeled)))
        parts = [_Labeled(self._labeled_images, self.labeled)] * self._copies
        starts: dict[int, int] = {}  # number of the first image, by the first branch with that pipeline
        self._branches: list[_Branch] = []
        firsts = [list(unlabeled_pipelines).index(pipeline) for pipeline in unlabeled_pipelines]
        for number, first in enumerate(firsts):
            if number == first:
                starts[number] = self._copies * len(self.labeled) + len(starts) * len(self.unlabeled)
                key = f'unlabeled_pipelines[{number}]'
                parts.append(_Unlabeled(self._unlabeled_images, self.unlabeled, transforms[number], key))
            self._branches.append(_Branch(starts[first], firsts.count(first), firsts[:number].count(first)))
        self.images = ViewDataset(ConcatDataset(parts), views=views, view_seed=view_seed)
        pipelines = {str(first): unlabeled_pipelines[first] for first in starts}
        self.images.config = copy.deepcopy(dict(labeled=labeled, unlabeled=unlabeled, unlabeled_pipelines=pipelines))

    @property
    def seed(self) -> int:
        """Seed of the order and, without ``view_seed``, of the augmentations; set by the sampler."""
        return self.images.seed

    @seed.setter
    def seed(self, seed: int) -> None:
        self.images.seed = seed

    @property
    def metainfo(self) -> dict:
        """Classes and palette of the labeled data set."""
        return self._labeled_images.metainfo

    def listed_images(self) -> list[tuple[Dataset, int]]:
        """The labeled images, as pairs of the data set that lists the image and its index there."""
        return [self._labeled_images.locate(int(index)) for index in self.labeled]

    def unlabeled_paths(self) -> list[str]:
        """The paths of the unlabeled images."""
        return [self._unlabeled_images.info(index)['img_path'] for index in self.unlabeled]

    def __len__(self) -> int:
        """The length of the longer list. Items with higher numbers continue with the next permutation."""
        return max(len(self.labeled), len(self.unlabeled))

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self[n] for n in range(len(self)))

    def __getitem__(self, n: int) -> dict[str, Any]:
        epoch, place = divmod(n, len(self.labeled))
        order = permutation(self.seed, LABELED, epoch, len(self.labeled))
        view, copied = divmod(epoch, self._copies)
        labeled = self._view(copied * len(self.labeled) + int(order[place]), view)
        taken: set[int] = set()
        return dict(labeled=labeled, unlabeled=[self._draw(n, number, taken) for number in range(len(self._branches))])

    def _draw(self, n: int, number: int, taken: set[int]) -> dict:
        total, branch = len(self.unlabeled), self._branches[number]
        epoch, place = divmod(n, total)
        order = branch_orders(self.seed, epoch, total)[number]
        # Only a skipped image leads to a second iteration.
        for index in (int(order[(place + step) % total]) for step in range(total)):
            if index in taken and total > 1:
                continue
            try:
                item = self._view(branch.start + index, epoch * branch.sharing + branch.place)
            except DroppedImage as dropped:
                self._warn(dropped.path)
                continue
            taken.add(index)
            return item
        raise ValueError(
            f'unlabeled_pipelines[{number}]: none of the {total} unlabeled images can be read, or none '
            'is left for this branch; check the files'
        )

    def _view(self, image: int, number: int) -> dict:
        return self.images[number * len(self.images) + image]

    def _warn(self, path: str) -> None:
        if path not in self._passed_over:
            self._passed_over.add(path)
            print_log(f'unlabeled image {path} was skipped: it cannot be read', logger='current', level=logging.WARNING)

    def _check_lists(self) -> None:
        if not len(self.unlabeled):
            raise ValueError(
                f'no unlabeled images are left: all {len(self.labeled)} of labeled are labeled; set a '
                'smaller partition, or set unlabeled to another data set'
            )
        labeled, unlabeled = self._labeled_images.paths(), self._unlabeled_images.paths()
        both = overlap([labeled[index] for index in self.labeled], [unlabeled[index] for index in self.unlabeled])
        if both:
            raise ValueError(
                f'{len(both)} images are both labeled and unlabeled, such as '
                f'{", ".join(both[:NAMED])}; remove them from one of the lists, or remove unlabeled: '
                'the unlabeled images are then the rest of labeled'
            )


class DroppedImage(ValueError):
    """An image that a transform of its pipeline dropped, such as one that cannot be read and shall be ignored.

    Args:
        path: Path of the image.
        key: Key of its pipeline in the config.

    Example:
        >>> str(DroppedImage('1.png', 'labeled')).partition(';')[0]
        'labeled: 1.png was dropped by a transform of its pipeline'
    """

    def __init__(self, path: str, key: str) -> None:
        self.path = path
        super().__init__(
            f'{key}: {path} was dropped by a transform of its pipeline; remove ignore_empty=True, '
            'and repair the image or remove it from the list'
        )


class _Branch(NamedTuple):
    """A branch: the number of its first image, the branches that share its images, and its place among these."""

    start: int
    sharing: int
    place: int


class _Labeled(Dataset):
    """The chosen images of a list, with the pipelines of the data sets that they belong to."""

    def __init__(self, images: ImageList, chosen: np.ndarray) -> None:
        self._images, self._chosen = images, chosen

    def listed_images(self) -> list[tuple[Dataset, int]]:
        return [self._images.locate(int(index)) for index in self._chosen]

    def __len__(self) -> int:
        return len(self._chosen)

    def __getitem__(self, place: int) -> dict:
        index = self._chosen[place]
        return _load(self._images.info(index), self._images.transforms(index), 'labeled')


class _Unlabeled(_Labeled):
    """The chosen images of a list without paths of labels, with one pipeline."""

    def __init__(self, images: ImageList, chosen: np.ndarray, transforms: Sequence, key: str) -> None:
        super().__init__(images, chosen)
        self._transforms, self._key = transforms, key

    def __getitem__(self, place: int) -> dict:
        info = self._images.info(self._chosen[place])
        info.pop('seg_map_path', None)
        return _load(info, self._transforms, self._key)


@lru_cache(maxsize=4)
def branch_orders(seed: int, epoch: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Orders of the unlabeled images of two branches in one pass; they differ at every position.

    Args:
        seed: Seed of the run.
        epoch: Number of the pass.
        size: Number of images.

    Example:
        >>> first, second = branch_orders(seed=0, epoch=0, size=5)
        >>> bool((first == second).any())
        False
    """
    first, second = (permutation(seed, LABELED + 1 + number, epoch, size) for number in range(2))
    return first, apart(first, second)


def apart(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """A permutation that differs from ``first`` at every position: ``second`` with the equal positions rotated.

    Args:
        first: Permutation to differ from.
        second: Permutation to change where it equals ``first``.

    Example:
        >>> apart(np.array([0, 1, 2]), np.array([0, 2, 1])).tolist()
        [2, 0, 1]
    """
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
                f'{f", instead of {kinds[0]}" if kinds else ""}'
            )
    return branches


def _load(info: dict, transforms: Sequence, key: str) -> dict:
    """The output of a pipeline for an image.

    Raises:
        DroppedImage: If a transform drops the image.
        ValueError: If the image cannot be read; the message names it.
    """
    path, results = info['img_path'], info
    for transform in transforms:
        try:
            results = transform(results)
        except Exception as error:
            if 'img' in results:
                raise
            # MMCV's ignore_empty skips files that it cannot open, but not files that hold no image.
            if getattr(transform, 'ignore_empty', False):
                raise DroppedImage(path, key) from error
            reason = ' '.join(str(error).split()) or type(error).__name__
            raise ValueError(
                f"{key}: {path} can't be read ({reason}); repair it or remove it from the list"
                f'{_REMEDY if key != "labeled" else ""}'
            ) from error
        if results is None:
            raise DroppedImage(path, key)
    return results


_REMEDY = ", or skip images that can't be read with dict(type='LoadImageFromFile', ignore_empty=True)"
