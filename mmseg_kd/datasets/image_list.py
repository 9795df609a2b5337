"""The images of a data set, numbered and named by ids."""

import os.path as osp
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from mmengine.dataset import BaseDataset
from mmseg.registry import DATASETS

from ..io.data_sets import inner_data_sets
from ..io.files import find_files

NAMED = 3  # ids in a message


class ImageList:
    """The images of a data set, or of the data sets that ``ConcatDataset`` joins, in their order.

    The id of an image is its path relative to ``data_prefix.img_path``, without ``img_suffix``, such as
    ``jena/jena_000078_000019``. Its last part, ``jena_000078_000019``, is also accepted if it is unique.

    Args:
        config: Config of the data set.
        key: Key of the data set in the config, for error messages.

    Raises:
        ValueError: If the data set is empty or does not list images.

    Example:
        >>> from mmseg_kd.testing.trees import write_camvid_tree
        >>> root = write_camvid_tree('camvid', images=2, size=(8, 8))
        >>> dataset = dict(type='CamVidDataset', data_root=str(root), data_prefix=dict(img_path='img_dir/train'))
        >>> images = ImageList(dataset, 'train_dataloader.dataset')
        >>> images.ids()
        ['0001TP_000000', '0001TP_000001']
        >>> images.find(['0001TP_000001'], 'labeled.txt')
        array([1])
    """

    def __init__(self, config: dict, key: str) -> None:
        dataset = build_dataset(config, key)
        for part in _parts(dataset):
            if not hasattr(part, 'get_data_info') or not hasattr(part, 'pipeline') or hasattr(part, 'dataset'):
                raise ValueError(
                    f'{key} must be a data set that lists images, as BaseSegDataset does, or a '
                    f'ConcatDataset of such, but got {type(part).__name__}; give the data set that it '
                    'wraps'
                )
        self._take(dataset, key)

    @classmethod
    def within(cls, config: dict, key: str) -> 'ImageList':
        """The labeled images of a data set, each once, also within wrappers that repeat, balance, mix or divide it.

        Args:
            config: Config of any data set.
            key: Key of the data set in the config, for error messages.

        Raises:
            ValueError: If the data set is empty or lists no images.
        """
        images = cls.__new__(cls)
        images._take(build_dataset(config, key), key)
        return images

    def _take(self, dataset: BaseDataset, key: str) -> None:
        self.key, self.metainfo = key, getattr(dataset, 'metainfo', None) or {}
        self._images = listed_images(dataset)
        if not self._images:
            raise ValueError(f'{key} must hold at least one image, but is empty; check its ann_file')

    def __len__(self) -> int:
        return len(self._images)

    def locate(self, index: int) -> tuple[BaseDataset, int]:
        """The data set that an image belongs to, and the image's index in that data set."""
        return self._images[index]

    def info(self, index: int) -> dict:
        """The data set's entry of an image (paths and so on), before the image is loaded."""
        part, index = self.locate(index)
        return part.get_data_info(index)

    def transforms(self, index: int) -> Sequence:
        """The transforms of the data set that an image belongs to."""
        return self.locate(index)[0].pipeline.transforms

    def paths(self) -> list[str]:
        """The paths of the image files."""
        return [self.info(index)['img_path'] for index in range(len(self))]

    def ids(self) -> list[str]:
        """The ids of all images: the last part of the path if it is unique among all, else the whole path."""
        whole = self._whole_ids()
        last = [osp.basename(name) for name in whole]
        return last if len(set(last)) == len(last) else whole

    def find(self, ids: Sequence[str], source: str) -> np.ndarray:
        """The indices of images with the given ids, in ascending order.

        Args:
            ids: Ids of the images, without repetition.
            source: Origin of the ids, for error messages.

        Raises:
            ValueError: If an id does not exist, is ambiguous or is repeated; the first few are named.
        """
        places: dict[str, int | None] = {}
        whole = self._whole_ids()
        for names in (list(map(osp.basename, whole)), whole):
            repeated = {name for name, count in Counter(names).items() if count > 1}
            places.update((name, None if name in repeated else index) for index, name in enumerate(names))
        unknown = [name for name in ids if name not in places]
        if unknown:
            example = min(places)
            raise ValueError(
                f'{source}: {len(unknown)} of {len(ids)} ids are not among the {len(self)} images of '
                f'{self.key} ({_some(unknown)}); its ids look like {example}: check the list, or '
                f'data_root, data_prefix, img_suffix and ann_file of {self.key}'
            )
        ambiguous = [name for name in ids if places[name] is None]
        if ambiguous:
            raise ValueError(
                f'{source}: {len(ambiguous)} of {len(ids)} ids match more than one image of '
                f'{self.key} ({_some(ambiguous)}); write them with their folder, as <folder>/<name>'
            )
        found, counts = np.unique([places[name] for name in ids], return_counts=True)
        if (counts > 1).any():
            raise ValueError(
                f'{source}: {np.count_nonzero(counts > 1)} images are listed more than once '
                f'({_some([whole[index] for index in found[counts > 1]])}); list each once'
            )
        return found

    def _whole_ids(self) -> list[str]:
        return [_whole_id(part, part.get_data_info(index)['img_path']) for part, index in self._images]


def build_dataset(config: dict, key: str) -> BaseDataset:
    """Build a data set, and check that it finds images.

    Args:
        config: Config of the data set.
        key: Key of the data set in the config, for error messages.

    Raises:
        ValueError: If the data set finds no images.

    Example:
        >>> import mmseg_kd.datasets
        >>> from mmseg_kd.testing.trees import write_camvid_tree
        >>> root = write_camvid_tree('camvid', images=2, size=(8, 8))
        >>> config = dict(type='CamVidDataset', data_root=str(root), data_prefix=dict(img_path='img_dir/train'))
        >>> len(build_dataset(config, 'train_dataloader.dataset'))
        2
    """
    try:
        dataset = DATASETS.build(config)
        if hasattr(dataset, 'full_init'):
            dataset.full_init()
    except (AssertionError, ValueError) as error:
        # MMEngine's message for a data set without images, and MMSegmentation's for one without its files.
        empty = 'need at least one array' in str(error) or not str(error)
        if isinstance(error, ValueError) and not empty:
            raise
        raise ValueError(
            f'{key}: {"no image was found" if empty else error}; check its data_root '
            f'("{config.get("data_root", "")}"), data_prefix, img_suffix and ann_file{endings_beside(config)}'
        ) from None
    return dataset


def endings_beside(config: dict) -> str:
    """Endings of the files in the folder of the images, for the message that no images were found; empty without files.

    Args:
        config: Config of a data set.

    Example:
        >>> import pathlib
        >>> pathlib.Path('images').mkdir()
        >>> pathlib.Path('images/1.tif').touch()
        >>> endings_beside(dict(data_prefix=dict(img_path='images')))
        '; the files in images end in .tif'
    """
    folder = (config.get('data_prefix') or {}).get('img_path', '')
    folder = osp.join(config.get('data_root') or '', folder)
    if not folder or not osp.isdir(folder):
        return ''
    endings = Counter(osp.splitext(name)[1] for name in find_files(folder)).most_common(NAMED)
    named = ', '.join(ending or 'nothing' for ending, _ in endings)
    return f'; the files in {folder} end in {named}' if endings else ''


def listed_images(dataset: BaseDataset) -> list[tuple[BaseDataset, int]]:
    """The images of a data set, each once, as pairs of the data set that lists the image and its index there.

    Wrappers that join, repeat, balance or mix data sets are looked through. A data set that uses only some images
    names them with a method ``listed_images``.

    Args:
        dataset: Data set that is already built.

    Returns:
        list: pairs of data set and index; empty if the data set does not list its images.

    Example:
        >>> from mmengine.dataset import RepeatDataset
        >>> from mmseg_kd.testing.trees import write_camvid_tree
        >>> from mmseg_kd.datasets import CamVidDataset
        >>> root = write_camvid_tree('camvid', images=2, size=(8, 8))
        >>> camvid = CamVidDataset(data_root=str(root), data_prefix=dict(img_path='img_dir/train'))
        >>> [index for _, index in listed_images(RepeatDataset(camvid, times=3))]
        [0, 1]
    """
    if hasattr(dataset, 'listed_images'):
        return dataset.listed_images()
    inner = inner_data_sets(dataset)
    if not inner:
        return [(dataset, index) for index in range(len(dataset))] if hasattr(dataset, 'get_data_info') else []
    images = [image for part in inner for image in listed_images(part)]
    chosen = getattr(dataset, 'indices', None)  # of torch.utils.data.Subset
    return images if chosen is None or len(images) != len(inner[0]) else [images[index] for index in chosen]


def overlap(paths: Sequence[str], others: Sequence[str]) -> list[str]:
    """The files that both lists contain, sorted. Links and different spellings of a path are resolved.

    Args:
        paths: Paths of files.
        others: Paths of files to compare with.

    Example:
        >>> [osp.basename(path) for path in overlap(['a/../1.png', '2.png'], ['1.png', '3.png'])]
        ['1.png']
    """
    return sorted({osp.realpath(path) for path in paths} & {osp.realpath(path) for path in others})


def _whole_id(dataset: BaseDataset, path: str) -> str:
    folder = (getattr(dataset, 'data_prefix', None) or {}).get('img_path') or ''
    name = path[len(folder) :].lstrip('/') if folder and path.startswith(folder) else osp.basename(path)
    suffix = getattr(dataset, 'img_suffix', None)
    if isinstance(suffix, str) and suffix and name.endswith(suffix):
        return name[: -len(suffix)]
    return osp.splitext(name)[0]


def _parts(dataset: BaseDataset) -> Iterator[BaseDataset]:
    joined = getattr(dataset, 'datasets', None)
    for part in joined or ():
        yield from _parts(part)
    if not joined:
        yield dataset


def _some(names: Sequence[str]) -> str:
    return ', '.join(names[:NAMED]) + (', ...' if len(names) > NAMED else '')
