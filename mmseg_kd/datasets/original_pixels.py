"""The pixels of the original files beside the reduced images that a student sees."""

import contextlib
import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from mmcv.transforms import Compose as MMCVCompose
from mmcv.transforms import LoadAnnotations, Pad, RandomApply, RandomChoice, RandomChoiceResize, RandomResize, Resize
from mmengine.dataset import Compose
from mmengine.structures import PixelData
from mmseg.datasets.transforms import ResizeShortestEdge, ResizeToMultiple
from mmseg.registry import DATASETS

from ..distillers.teacher import ORIGINAL
from ..io.data_sets import inner_data_sets
from ..io.errors import ConfigError
from .even_subset import even_subset
from .image_list import listed_images
from .pixel_maps import cut, find_map, identity, joined, marks, resizing
from .seeding import seeded

COLUMNS, ROWS = '_original_columns', '_original_rows'  # keys of the marks in the results of a pipeline
RESIZES = (Resize, RandomResize, RandomChoiceResize, ResizeShortestEdge, ResizeToMultiple)
PROBED = 5  # number of images that give the usual reduction
GAIN = 1.01  # the least reduction from which more pixels can be had


class OriginalPixels(Compose):
    """A pipeline that also cuts, from the image as loaded, what the transformed image shows.

    Label maps with the columns and rows of pixels go through each transform with the labels. They tell where its pixels
    come from, so any transform may crop, flip, resize, rotate or pad if it treats all maps of ``seg_fields`` alike. The
    part is cut once, at the end: where all steps are crops, flips and a division of the size by a whole number, its
    pixels are those of the file; otherwise they are interpolated bilinearly. Colors are those of the file, because
    transforms of colors, and holes such as those of ``RandomCutOut``, are not repeated. Places outside of the image are
    0, as in padding.

    The data sample gets ``original``, with ``data`` (C, h, w) in the type of the loaded image, and ``scale``: the size
    of this part relative to the transformed image. The whole image is not kept.

    Args:
        transforms: Transforms of the pipeline, from loading to packing.
        scale: Size of the parts relative to the transformed images, the same for all; None for that of each image in
            its file.
        of_file: Factor on the size in the file, with ``scale=None``.

    Raises:
        ConfigError: If a transform mixes images, as ``RandomMosaic`` does.

    Example:
        >>> from mmseg_kd.testing.trees import write_camvid_tree
        >>> from mmseg_kd.datasets import CamVidDataset
        >>> root = write_camvid_tree('camvid', images=1, size=(16, 32))
        >>> steps = ['LoadImageFromFile', dict(type='Resize', scale=(16, 8)), 'PackSegInputs']
        >>> steps = [step if isinstance(step, dict) else dict(type=step) for step in steps]
        >>> dataset = CamVidDataset(data_root=str(root), data_prefix=dict(img_path='img_dir/train'), pipeline=steps)
        >>> dataset.pipeline = OriginalPixels(dataset.pipeline.transforms)
        >>> item = dataset[0]
        >>> item['inputs'].shape, item['data_samples'].original.shape, item['data_samples'].original.scale
        (torch.Size([3, 8, 16]), (16, 32), 2.0)
    """

    def __init__(self, transforms: list, scale: float | None = None, of_file: float = 1.0) -> None:
        super().__init__(transforms)
        self.scale, self.of_file = scale, of_file
        for transform in _leaves(self.transforms):
            if hasattr(transform, 'get_indices') or hasattr(transform, 'get_indexes'):
                raise ConfigError(
                    f'{type(transform).__name__} mixes several images, so a part of one original image cannot be cut; '
                    "remove it from the pipeline, or pixels='original' from model.teacher"
                )

    def __call__(self, data: dict) -> dict | None:
        """The packed data of an image, with ``original`` in its data sample.

        Args:
            data: Entry of the image in the data set.

        Raises:
            ConfigError: If a transform moves pixels in another way, or nothing is packed.
        """
        tracked = _Tracked()
        results = self._apply(self.transforms, data, tracked)
        if results is None:
            return None
        sample = results.get('data_samples')
        if tracked.image is None or sample is None:
            raise ConfigError(
                'model.teacher.pixels needs a pipeline that loads an image and packs it, such as from '
                'LoadImageFromFile to PackSegInputs, but the pipeline of the data set has no '
                f'{"loading" if tracked.image is None else "packing"} transform'
            )
        size = tracked.size
        steps = np.linalg.norm(tracked.matrix[:, :2], axis=0)  # pixels of the file from one column or row to the next
        scale = self.scale or float(np.sqrt(steps.prod())) * self.of_file
        factors = (scale, scale) if self.scale else steps[::-1] * self.of_file
        wanted = [max(1, round(side * factor)) for side, factor in zip(size, factors)]
        part = cut(tracked.image, joined(tracked.matrix, resizing(size, wanted)), wanted)
        part = part.reshape(*part.shape[:2], -1).transpose(2, 0, 1)
        sample.set_data(
            {ORIGINAL: PixelData(metainfo=dict(scale=scale), data=torch.from_numpy(np.ascontiguousarray(part)))}
        )
        return results

    def _apply(self, transforms: Any, results: Any, tracked: '_Tracked') -> Any:
        for transform in transforms:
            if isinstance(transform, (Compose, MMCVCompose)):
                results = self._apply(transform.transforms, results, tracked)
            elif isinstance(transform, RandomChoice):
                chosen = transform.transforms[transform.random_pipeline_index()]
                results = self._apply(chosen.transforms, results, tracked)
            elif isinstance(transform, RandomApply):
                if transform.random_apply():
                    results = self._apply(transform.transforms.transforms, results, tracked)
            else:
                results = tracked.apply(transform, results)
            if results is None:
                return None
        return results


class _Tracked:
    """The image as loaded, and the map from the current image to it."""

    image: np.ndarray | None = None

    def apply(self, transform: Any, results: dict) -> Any:
        if self.image is None or isinstance(transform, LoadAnnotations):
            results = transform(results)
            if self.image is None and results is not None and results.get('img') is not None:
                # Some transforms write into the image.
                self.image, self.matrix, self.size = results['img'].copy(), identity(), results['img'].shape[:2]
            return results
        image, labels = results['img'], results.get('gt_seg_map')
        marked = dict(zip((COLUMNS, ROWS), marks(self.size)))
        results.update(marked, seg_fields=[*results.get('seg_fields', []), *marked])
        results = transform(results)
        if results is None or 'img' not in results:
            return results
        results['seg_fields'] = [key for key in results.get('seg_fields', []) if key not in marked]
        moved, size = [results.pop(key, marked[key]) for key in marked], results['img'].shape[:2]
        if isinstance(transform, Pad) and size != moved[0].shape:  # MMCV's pads gt_seg_map alone, right and below
            found: Any = identity()
        elif size != moved[0].shape or _moves_labels_alone(marked, moved, (image, labels), results):
            raise ConfigError(
                f"{type(transform).__name__} moves pixels without moving all maps of seg_fields, but pixels='original' "
                'of model.teacher needs them; take a transform of MMSegmentation, change all maps of seg_fields, or '
                "remove pixels='original'"
            )
        else:
            found = find_map(moved[0], moved[1], self.size, isinstance(transform, RESIZES))
        if found is None:
            raise ConfigError(
                f'{type(transform).__name__} moves pixels in a way that is not affine (as resizing, cropping, flipping '
                "and rotating are), so pixels='original' of model.teacher cannot follow it; remove one of them"
            )
        self.matrix, self.size = joined(self.matrix, found), size
        return results


def _moves_labels_alone(marked: dict, moved: list, before: tuple, results: dict) -> bool:
    """Whether image and labels changed, but no other map, as with Albumentations."""
    for old, new in zip(before, (results['img'], results.get('gt_seg_map'))):
        if old is None or new is None or new is old or np.array_equal(old, new):
            return False
    return all(np.array_equal(*pair) for pair in zip(marked.values(), moved))


def _leaves(transforms: Any) -> Iterator[Any]:
    for transform in transforms:
        inner = getattr(transform, 'transforms', None)
        if isinstance(inner, (list, tuple, Compose, MMCVCompose)):
            yield from _leaves(getattr(inner, 'transforms', inner))
        else:
            yield transform


def with_original_pixels(dataset: Any, scale: float = 1.0) -> Any:
    """A data set of a training whose items come with :class:`OriginalPixels`, all of one size relative to the image.

    This size is ``scale`` times the median number of pixels in the file for one pixel of the image, along a side. It is
    measured on five images, with random resizing at its middle (``ratio_range`` = 1).

    Args:
        dataset: Data set, or its config; wrappers that repeat, join or balance data sets may be inside.
        scale: Factor on the size in the file; less than 1 makes the teacher cheaper.

    Raises:
        ConfigError: If a data set has no pipeline of transforms or mixes images, or if the images are not reduced.
    """
    dataset = DATASETS.build(dataset) if isinstance(dataset, dict) else dataset
    _with_pipelines(dataset)  # refuses data sets that mix images
    usual = usual_reduction(dataset)
    if usual < GAIN:
        raise ConfigError(
            f'the training images must be smaller than their files for model.teacher.pixels, but one '
            f'pixel of an image is {usual:.2g} pixels of its file along a side; remove pixels, or put a Resize into '
            'train_dataloader.dataset.pipeline'
        )
    _set_pipelines(dataset, usual * scale, 1.0)
    return dataset


@contextlib.contextmanager
def original_pixels(dataset: Any, scale: float = 1.0) -> Iterator[Any]:
    """A context in which items of a data set come with :class:`OriginalPixels`, each at the size in its file.

    Args:
        dataset: Data set that is already built.
        scale: Factor on the size in the file.

    Raises:
        ConfigError: If a data set has no pipeline of transforms, or mixes images.
    """
    before = [(leaf, leaf.pipeline) for leaf in _with_pipelines(dataset)]
    _set_pipelines(dataset, None, scale)
    try:
        yield dataset
    finally:
        for leaf, pipeline in before:
            leaf.pipeline = pipeline


def usual_reduction(dataset: Any) -> float:
    """The median number of pixels in the file for one pixel of the transformed image, along a side.

    Args:
        dataset: Data set that is already built.
    """
    images = listed_images(dataset)
    found = []
    for place in even_subset(len(images), PROBED):
        leaf, index = images[place]
        transforms = copy.deepcopy(leaf.pipeline.transforms)
        for transform in _leaves(transforms):
            if isinstance(transform, RandomResize) and transform.ratio_range is not None:
                transform.ratio_range = (1.0, 1.0)
        with seeded(0, place):
            item = OriginalPixels(transforms)(leaf.get_data_info(index))
        if item is not None:
            found.append(item['data_samples'].original.scale)
    return float(np.median(found)) if found else 1.0


def _set_pipelines(dataset: Any, scale: float | None, of_file: float) -> None:
    for leaf in _with_pipelines(dataset):
        leaf.pipeline = OriginalPixels(leaf.pipeline.transforms, scale, of_file)


def _with_pipelines(dataset: Any) -> list[Any]:
    inner = inner_data_sets(dataset)
    # A wrapper with transforms of its own mixes images.
    if not inner and hasattr(getattr(dataset, 'pipeline', None), 'transforms'):
        return [dataset]
    if not inner or isinstance(vars(dataset).get('pipeline'), list):
        raise ConfigError(
            f'model.teacher.pixels needs data sets with a pipeline of transforms each, but '
            f'{type(dataset).__name__} {"mixes images of another one" if inner else "has none"}; remove pixels, or '
            'take another data set'
        )
    return [leaf for part in inner for leaf in _with_pipelines(part)]
