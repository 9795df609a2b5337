"""Divide a folder of images into training, validation and testing."""

from pathlib import Path

import numpy as np

from ..io.files import find_files, write_atomically

SPLITS = ('train', 'val', 'test')
SHARES = (0.7, 0.2, 0.1)


def write_split(
    folder: str | Path, out: str | Path, fraction: float = 1.0, seed: int = 0, suffix: str = '.jpg'
) -> dict[str, list[str]]:
    """Draw 70 % of a folder's images for training, 20 % for validation and 10 % for testing.

    ``train.txt``, ``val.txt`` and ``test.txt`` are what ``ann_file`` of MMSegmentation's data sets reads: the path of
    an image below the folder, without suffix, on each line, sorted. The draw depends on these paths, the fraction and
    the seed alone, and no image is in two lists. The same lists are written again without harm.

    Args:
        folder: the images, in it or in folders in it, as :func:`~mmseg_kd.io.files.find_files` lists them.
        out: folder for the three lists.
        fraction: of the images, drawn first; the others are in no list.
        seed: of the draw.
        suffix: of the images, in whatever case.

    Returns:
        dict: the lines of each list, by its name.

    Raises:
        ValueError: if ``fraction`` is not in (0, 1], two images differ in the case of their suffix alone, there is no
            such folder, or fewer images are drawn than there are lists to fill.

    The shares, and the 10 % of COCO test2017, are those of the work that took MCKD (arXiv 2311.08640) to segmentation;
    its lists are not published.

    Example:
        >>> Path('images').mkdir()
        >>> for number in range(10):
        ...     Path(f'images/{number}.jpg').touch()
        >>> {name: len(lines) for name, lines in write_split('images', 'splits').items()}
        {'train': 7, 'val': 2, 'test': 1}
    """
    if not 0 < fraction <= 1:
        raise ValueError(f'write_split: fraction must lie in (0, 1], but is {fraction}')
    if not Path(folder).is_dir():
        raise ValueError(f'write_split: folder must be a folder of images, but there is no {folder}')
    ids = [path[: -len(suffix)] for path in find_files(folder, [suffix])]
    if len(set(ids)) < len(ids):
        twice = next(name for name in ids if ids.count(name) > 1)
        raise ValueError(
            f'write_split: an image must be told by its path without suffix, but {folder} holds two files '
            f'{twice}; rename one of them'
        )
    drawn = np.random.default_rng(seed).permutation(len(ids))[: round(fraction * len(ids))]
    ends = np.round(np.cumsum(SHARES)[:-1] * len(drawn)).astype(int)
    parts = {name: sorted(ids[index] for index in part) for name, part in zip(SPLITS, np.split(drawn, ends))}
    if not all(parts.values()):
        raise ValueError(
            f'write_split: every list must get an image, but only {len(drawn)} of the {len(ids)} images '
            f'(*{suffix}) in {folder} are drawn; check the folder and its suffix, or raise fraction'
        )
    Path(out).mkdir(parents=True, exist_ok=True)
    for name, part in parts.items():
        write_atomically(Path(out, f'{name}.txt'), ''.join(f'{line}\n' for line in part))
    return parts
