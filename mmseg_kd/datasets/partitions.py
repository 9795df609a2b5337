"""Choice of the labeled images of a training set: published lists, list files, and random samples."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from ..io.files import read_list
from .image_list import ImageList

Partition = str | dict[str, Any]
LISTS = Path(__file__).with_name('partition_lists')
PARTITIONS: tuple[str, ...] = tuple(
    f'{protocol}/1_{part}' for protocol in ('cityscapes', 'voc12aug', 'voc12_few') for part in (16, 8, 4, 2)
)
"""Names of the published partitions, ``<protocol>/1_<r>``; one of r images is labeled.

``cityscapes``: 186, 372, 744 or 1,488 of the 2,975 training images; ``voc12aug``: 662, 1,323, 2,646 or 5,291 of the
10,582 of VOC 2012 with SBD; ``voc12_few``: 92, 183, 366 or 732 of VOC 2012's own 1,464. In the first two protocols,
each part contains the smaller ones; the lists of the third were sampled separately.

The first two were published with CPS (Chen et al., CVPR 2021, arXiv 2106.01226), the third with PseudoSeg (Zou et al.,
ICLR 2021, arXiv 2010.09713). The ids are those in the folder DATA of github.com/charlesCXK/TorchSemiSeg. In the third
protocol, each published list of unlabeled images repeats one labeled image. Here, the unlabeled images are the rest of
the data set (1,464 or 10,582 images for VOC), so no image is both.
"""


def published_ids(name: str) -> list[str]:
    """The labeled ids of a published partition: ``<city>_<sequence>_<frame>`` or ``<year>_<number>``.

    Args:
        name: Name in :data:`PARTITIONS`.

    Raises:
        ValueError: If the name is unknown.

    Example:
        >>> len(published_ids('cityscapes/1_8'))
        372
    """
    if name not in PARTITIONS:
        raise ValueError(f'the name of a partition must be one of {", ".join(PARTITIONS)}, but is {name}')
    return read_list(LISTS / f'{name}.txt')


def read_ids(name: str) -> list[str]:
    """The ids of a published partition or of a list file, which has one id of :class:`ImageList` per line.

    Args:
        name: Name in :data:`PARTITIONS`, or path of a list file.

    Raises:
        ValueError: If the name is neither, or if the file is empty or no text file.

    Example:
        >>> from pathlib import Path
        >>> _ = Path('labeled.txt').write_text('a\\nb\\n')
        >>> read_ids('labeled.txt')
        ['a', 'b']
    """
    if name in PARTITIONS:
        return published_ids(name)
    path = Path(name)
    if not path.is_file():
        raise ValueError(f'partition must name a list file, or one of {", ".join(PARTITIONS)}, but there is no {name}')
    ids = read_list(path)
    if not ids:
        raise ValueError(f'partition: the list file {name} must hold one id per line, but is empty')
    return ids


def labeled_part(images: ImageList, partition: Partition) -> np.ndarray:
    """The indices of the labeled images, in ascending order.

    Args:
        images: Images of the whole training set.
        partition: Name of a published partition or of a list file, also as ``dict(labeled=<name>)``; or
            ``dict(fraction=..., seed=...)`` for a random sample. The sample depends only on the ids of the images, the
            fraction and the seed (default 0). With the same seed, a larger fraction contains a smaller one.

    Raises:
        ValueError: If the partition has another form, or if its ids are not among the images.

    Example:
        >>> import mmseg_kd.datasets
        >>> from mmseg_kd.testing.trees import write_camvid_tree
        >>> root = write_camvid_tree('camvid', images=8, size=(8, 8))
        >>> camvid = dict(type='CamVidDataset', data_root=str(root), data_prefix=dict(img_path='img_dir/train'))
        >>> images = ImageList(camvid, 'labeled')
        >>> len(labeled_part(images, dict(fraction=0.25, seed=0)))
        2
    """
    if isinstance(partition, str):
        return images.find(read_ids(partition), f'partition {partition}')
    if not isinstance(partition, dict) or set(partition) not in (
        {'labeled'},
        {'labeled', 'unlabeled'},
        {'fraction'},
        {'fraction', 'seed'},
    ):
        raise ValueError(
            'partition must be a name, a list file, dict(fraction=..., seed=...) or '
            f'dict(labeled=<list file>, unlabeled=<list file>), but is {partition}'
        )
    if 'labeled' in partition:
        return labeled_part(images, partition['labeled'])
    order = np.argsort(images.ids(), kind='stable')
    drawn = np.random.default_rng(partition.get('seed', 0)).permutation(len(images))
    return np.sort(order[drawn[: part_size(len(images), partition['fraction'])]])


def part_name(partition: Partition) -> str:
    """A short name of a partition, for folders.

    Args:
        partition: Partition in a form that :func:`labeled_part` accepts.

    Example:
        >>> part_name('cityscapes/1_8'), part_name(dict(fraction=0.125))
        ('1_8', '0.125_seed0')
    """
    if isinstance(partition, dict) and 'fraction' in partition:
        return f'{partition["fraction"]:.4g}_seed{partition.get("seed", 0)}'
    name = partition['labeled'] if isinstance(partition, dict) else partition
    return name.rsplit('/', 1)[-1].removesuffix('.txt')


def part_size(total: int, fraction: float) -> int:
    """The number of images in a fraction, rounded up, as in the published partitions.

    Args:
        total: Number of all images.
        fraction: Fraction of the images, in (0, 1).

    Raises:
        ValueError: If ``fraction`` is not between 0 and 1.

    Example:
        >>> part_size(2975, 1 / 8)
        372
    """
    if not 0 < fraction < 1:
        raise ValueError(f'partition: fraction must lie between 0 and 1, but is {fraction}')
    # Because of rounding, 0.1 * 30 is slightly greater than 3.
    return math.ceil(fraction * total - 1e-9)
