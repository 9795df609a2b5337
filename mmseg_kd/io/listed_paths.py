"""Paths in lists that come with data: they may not leave the folder that they belong to."""

import os.path as osp
import re
from collections.abc import Iterable
from typing import Any

from .safe_pickle import UnsafeFileError
from .trust import REMEDY, trusted

PLACES = ('img_path', 'seg_map_path')
DRIVE = re.compile(r'[A-Za-z]:[\\/]')


def check_listed_names(names: Iterable[str], source: str) -> None:
    """Refuse names that leave the folder that they are joined to; nothing if files are trusted.

    Args:
        names: Paths relative to a folder.
        source: File that lists them, for error messages.

    Raises:
        UnsafeFileError: If a name is an absolute path, or leads out of the folder through ``..``.

    Example:
        >>> check_listed_names(['city/1.png', 'city/../2.png'], 'labels.json')
        >>> check_listed_names(['../../secret'], 'labels.json')
        Traceback (most recent call last):
        ...
        mmseg_kd.io.safe_pickle.UnsafeFileError: labels.json lists ../../secret, which lies outside of its folder; ...
    """
    for name in map(str, names):
        if ('..' in name or name.startswith(('/', '\\')) or DRIVE.match(name)) and not trusted():
            plain = osp.normpath(name.replace('\\', '/'))
            if osp.isabs(plain) or plain.split('/')[0] == '..' or DRIVE.match(plain):
                raise UnsafeFileError(f'{source} lists {name}, which lies outside of its folder; {REMEDY}')


def check_listed_images(dataset: Any, entries: list[dict]) -> None:
    """Refuse entries of a data set whose files lie outside of its folders of images and labels.

    Args:
        dataset: Data set with ``ann_file`` and ``data_prefix``, whose folders may not be set.
        entries: Entries with ``img_path`` and ``seg_map_path``, as ``load_data_list`` returns them.

    Raises:
        UnsafeFileError: If a file lies outside, unless files are trusted.
    """
    for place in PLACES:
        folder = (getattr(dataset, 'data_prefix', None) or {}).get(place)
        if not folder:
            continue
        start = osp.join(folder, '')
        paths = [entry[place] for entry in entries if entry.get(place)]
        # A path that does not begin with the folder was absolute in the list.
        names = (path.removeprefix(start) if path.startswith(start) else osp.abspath(path) for path in paths)
        check_listed_names(names, str(getattr(dataset, 'ann_file', '') or f'the list of {folder}'))
