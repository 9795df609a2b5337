"""Properties of data sets: classes, palette, transforms and inner data sets."""

from __future__ import annotations

import copy
import inspect
from typing import Any

from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS
from torch.utils.data import Dataset


def data_set_facts(config: dict, key: str) -> tuple[dict, list]:
    """The metainfo and the transforms of a data set. Its files are not read if the data set can be built without them.

    Args:
        config: Config of any data set, or a data set that is already built. It may wrap or join others.
        key: Key of the data set in the config, for error messages.

    Returns:
        tuple: ``metainfo`` (classes, palette, ...) of the data set, and the transforms of the first data set within it
        that has a pipeline.

    Raises:
        ValueError: If the data set cannot be built; the message names ``key``.

    Example:
        >>> import mmseg_kd.datasets
        >>> metainfo, transforms = data_set_facts(dict(type='CamVidDataset', pipeline=[]), 'val_dataloader.dataset')
        >>> metainfo['classes'][:3], transforms
        (('Sky', 'Building', 'Pole'), [])
    """
    try:
        dataset = DATASETS.build(_lazy(copy.deepcopy(config))) if isinstance(config, dict) else config
    except (AssertionError, OSError) as error:
        dataset = _without_files(copy.deepcopy(config))
        if dataset is None:
            raise ValueError(f'the classes of {key} are unknown, because its files are missing ({error})') from error
    except ValueError as error:
        raise ValueError(f'the classes of {key} are unknown: {error}') from error
    leaf = dataset
    while inner_data_sets(leaf):
        leaf = inner_data_sets(leaf)[0]
    return getattr(dataset, 'metainfo', None) or {}, list(getattr(getattr(leaf, 'pipeline', None), 'transforms', ()))


def inner_data_sets(dataset: Dataset) -> list[Any]:
    """The data sets that another one joins, repeats, balances or mixes; empty for all others.

    They are found by the attributes that MMEngine and PyTorch use.

    Args:
        dataset: Data set that is already built.

    Example:
        >>> from torch.utils.data import Subset, TensorDataset
        >>> dataset = TensorDataset()
        >>> inner_data_sets(Subset(dataset, [0])) == [dataset]
        True
    """
    return [
        part
        for part in getattr(dataset, 'datasets', None) or (getattr(dataset, 'dataset', None),)
        if hasattr(part, '__getitem__') and not isinstance(part, (str, list, tuple, dict))
    ]


def innermost_config(config: dict) -> dict:
    """The config of the first data set within wrappers that join, repeat, balance or mix data sets.

    Args:
        config: Config of any data set.

    Example:
        >>> innermost_config(dict(type='RepeatDataset', times=4, dataset=dict(type='CamVidDataset')))
        {'type': 'CamVidDataset'}
    """
    while config.get('dataset') or config.get('datasets'):
        config = config['dataset'] if config.get('dataset') else config['datasets'][0]
    return config


def _without_files(config: dict) -> Dataset | None:
    """A stand-in with the classes and pipeline of an MMSegmentation data set whose files may be missing.

    PascalVOCDataset and others assert that their files exist even with ``lazy_init``. The result is None for data sets
    that do not name their classes in the class itself.
    """
    config = innermost_config(config)
    kind = DATASETS.get(config['type']) if isinstance(config['type'], str) else config['type']
    if not issubclass(kind, BaseSegDataset) or not (kind.METAINFO or config.get('metainfo')):
        return None
    stand_in = type(kind.__name__, (BaseSegDataset,), dict(METAINFO=kind.METAINFO))
    return stand_in(metainfo=config.get('metainfo'), pipeline=config.get('pipeline') or [], lazy_init=True)


def _lazy(node: Any) -> Any:
    """Set ``lazy_init`` in every data set that supports it, so that no files are read yet."""
    if isinstance(node, (list, tuple)):
        return type(node)(map(_lazy, node))
    if not isinstance(node, dict):
        return node
    kind = node.get('type')
    kind = DATASETS.get(kind) if isinstance(kind, str) else kind
    if kind is None or not isinstance(kind, type):
        return node
    for key in ('dataset', 'datasets'):
        if key in node:
            node[key] = _lazy(node[key])
    parameters = inspect.signature(kind.__init__).parameters.values()  # type: ignore[misc]  # only read
    if any(each.name == 'lazy_init' or each.kind is each.VAR_KEYWORD for each in parameters):
        node['lazy_init'] = True
    return node
