"""Divide a folder of images into training, validation and test sets."""

from pathlib import Path

import numpy as np

from ..io.files import find_files, write_atomically

SPLITS = ('train', 'val', 'test')
SHARES = (0.7, 0.2, 0.1)


def write_split(
    folder: str | Path, out: str | Path, fraction: float = 1.0, seed: int = 0, suffix: str = '.jpg'
) -> dict[str, list[str]]:
    """Sample 70 % of a folder's images for training, 20 % for validation and 10 % for testing.

    The files ``train.txt``, ``val.txt`` and ``test.txt`` have the format of ``ann_file`` in MMSegmentation's data sets:
    sorted lines with an image's path relative to the folder, without suffix. The sample depends only on these paths,
    the fraction and the seed. No image is in two lists. Repeating the call writes the same lists.

    Args:
        folder: Folder of the images and their subfolders, searched by :func:`~mmseg_kd.io.files.find_files`.
        out: Folder for the three lists.
        fraction: Fraction of the images to use, sampled first; other images are in no list.
        seed: Seed of the sample.
        suffix: Suffix of the images, in upper or lower case.

    Returns:
        dict: the lines of each list, by the name of the list.

    Raises:
        ValueError: If ``fraction`` is not in (0, 1], the folder does not exist, two images differ only in the case of
            their suffix, or there are fewer images than lists.

    The shares, and the 10 % of COCO test2017, are those of the work that applied MCKD (arXiv 2311.08640) to
    segmentation; its lists are not published.

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
            f'write_split: paths without suffix must be unique, but {folder} holds two files '
            f'{twice}; rename one of them'
        )
    drawn = np.random.default_rng(seed).permutation(len(ids))[: round(fraction * len(ids))]
    ends = np.round(np.cumsum(SHARES)[:-1] * len(drawn)).astype(int)
    parts = {name: sorted(ids[index] for index in part) for name, part in zip(SPLITS, np.split(drawn, ends))}
    if not all(parts.values()):
        raise ValueError(
            f'write_split: every list needs an image, but only {len(drawn)} of the {len(ids)} images '
            f'(*{suffix}) in {folder} are sampled; check the folder and the suffix, or raise fraction'
        )
    Path(out).mkdir(parents=True, exist_ok=True)
    for name, part in parts.items():
        write_atomically(Path(out, f'{name}.txt'), ''.join(f'{line}\n' for line in part))
    return parts
