"""Which images of a training set are labeled: published lists, list files, and draws by fraction and seed."""

import math
from pathlib import Path

import numpy as np

from ..io.files import read_list
from .image_list import ImageList

Partition = str | dict[str, str | float | int]
LISTS = Path(__file__).with_name('partition_lists')
PARTITIONS: tuple[str, ...] = tuple(
    f'{protocol}/1_{part}' for protocol in ('cityscapes', 'voc12aug', 'voc12_few') for part in (16, 8, 4, 2)
)
"""Names of the published partitions, ``<protocol>/1_<r>`` for every r-th image labeled.

``cityscapes``: 186, 372, 744 or 1,488 of the 2,975 training images; ``voc12aug``: 662, 1,323, 2,646 or 5,291 of the
10,582 of VOC 2012 with SBD; ``voc12_few``: 92, 183, 366 or 732 of VOC 2012's own 1,464. In the first two each part
contains the smaller ones; the lists of the third are separate draws.

The first two were published with CPS (Chen et al., CVPR 2021, arXiv 2106.01226), the third with PseudoSeg (Zou et al.,
ICLR 2021, arXiv 2010.09713); the ids are those in the folder DATA of github.com/charlesCXK/TorchSemiSeg. The third's
published lists of unlabeled images each repeat one labeled image. Here what is unlabeled is the rest of the data
set that is given, so no image is both: of VOC's 1,464 images, or of the 10,582.
"""


def published_ids(name: str) -> list[str]:
    """The labeled ids of a published partition: ``<city>_<sequence>_<frame>`` or ``<year>_<number>``.

    Args:
        name: one of :data:`PARTITIONS`.

    Raises:
        ValueError: if it is not.
    """
    if name not in PARTITIONS:
        raise ValueError(f'the name of a partition must be one of {", ".join(PARTITIONS)}, but is {name}')
    return read_list(LISTS / f'{name}.txt')


def read_ids(name: str) -> list[str]:
    """The ids of a published partition, or of a list file: one id a line, as :class:`ImageList` names images.

    Args:
        name: one of :data:`PARTITIONS`, or a path.

    Raises:
        ValueError: if it is neither, or the file holds nothing or no text.
    """
    if name in PARTITIONS:
        return published_ids(name)
    path = Path(name)
    if not path.is_file():
        raise ValueError(f'partition must name a list file, or one of {", ".join(PARTITIONS)}, but there is no {name}')
    ids = read_list(path)
    if not ids:
        raise ValueError(f'partition: the list file {name} must hold one id a line, but is empty')
    return ids


def labeled_part(images: ImageList, partition: Partition) -> np.ndarray:
    """The places of the labeled images, in ascending order.

    Args:
        images: of the whole training set.
        partition: the name of a published partition or of a list file; ``dict(labeled=<name>)``, the same; or
            ``dict(fraction=..., seed=...)``, a draw that depends on the ids of the images, the fraction and the seed (0
            if left out) alone. Of two fractions with one seed, the greater contains the smaller.

    Raises:
        ValueError: if it is none of these, or does not fit the images.
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
    """A short name of a partition, for folders: ``1_8`` of ``cityscapes/1_8``, ``0.125_seed0`` of a draw.

    Args:
        partition: as of :func:`labeled_part`.
    """
    if isinstance(partition, dict) and 'fraction' in partition:
        return f'{partition["fraction"]:.4g}_seed{partition.get("seed", 0)}'
    name = partition['labeled'] if isinstance(partition, dict) else partition
    return name.rsplit('/', 1)[-1].removesuffix('.txt')


def part_size(total: int, fraction: float) -> int:
    """How many of ``total`` images a fraction is, rounded up, as in the published partitions.

    Raises:
        ValueError: if ``fraction`` is not between 0 and 1.
    """
    if not 0 < fraction < 1:
        raise ValueError(f'partition: fraction must lie between 0 and 1, but is {fraction}')
    # 0.1 * 30 may be a little more than 3.
    return math.ceil(fraction * total - 1e-9)
