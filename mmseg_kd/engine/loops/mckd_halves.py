"""The two halves of the images of an MCKD run."""

import re
from collections.abc import Sequence

import numpy as np

HALVES = ('a', 'b')


def split_in_halves(names: Sequence[str], group: str | None, seed: int) -> dict[str, list[str]]:
    """Split images at random into two halves of about the same size, and keep groups together.

    Args:
        names: ids of the images.
        group: regular expression that is searched in the ids; images whose first group is equal stay together. None
            splits image by image.
        seed: seed of the split.

    Returns:
        dict: sorted ids by half.

    Raises:
        ValueError: if ``group`` does not match an id, or there are fewer than two groups.

    >>> split_in_halves(['x_1', 'y_1', 'x_2', 'y_2', 'y_3'], '^(.)_', seed=0)
    {'a': ['y_1', 'y_2', 'y_3'], 'b': ['x_1', 'x_2']}
    """
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(_group_of(name, group), []).append(name)
    halves: dict[str, list[str]] = {half: [] for half in HALVES}
    order = np.random.default_rng(seed).permutation(len(groups))
    members = [groups[key] for key in sorted(groups)]
    # Larger groups first, each to the smaller half, because groups may be few and of very different size.
    for index in sorted(order, key=lambda index: -len(members[index])):
        half = min(HALVES, key=lambda half: len(halves[half]))
        halves[half].extend(members[index])
    if not all(halves.values()):
        raise ValueError(
            f'{len(names)} images in {len(groups)} groups cannot be split into two halves; give more images, '
            'or another train_cfg.group'
        )
    return {half: sorted(ids) for half, ids in halves.items()}


def _group_of(name: str, group: str | None) -> str:
    if group is None:
        return name
    found = re.search(group, name)
    if found is None:
        raise ValueError(f'train_cfg.group {group} must match every id, but does not match {name}')
    return found[1]
