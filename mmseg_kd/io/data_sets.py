"""What data sets say of themselves."""

from __future__ import annotations

import copy
import inspect
from typing import Any

from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS
from torch.utils.data import Dataset


def data_set_facts(config: dict, key: str) -> tuple[dict, list]:
    """What a data set says of itself, without looking for its files where it can be built without.

    Args:
        config: of any data set, wrapped, joined or not; or one that is built.
        key: where that stands in the config, for messages.

    Returns:
        tuple: its ``metainfo`` (classes, palette and the like), and the transforms of the first data set within it that
        has a pipeline.

    Raises:
        ValueError: naming ``key``, if it cannot be built.
    """
    try:
        dataset = DATASETS.build(_lazy(copy.deepcopy(config))) if isinstance(config, dict) else config
    except (AssertionError, OSError) as error:
        dataset = _without_files(copy.deepcopy(config))
        if dataset is None:
            raise ValueError(f'{key} cannot be asked for its classes, as its files are missing ({error})') from error
    except ValueError as error:
        raise ValueError(f'{key} cannot be asked for its classes: {error}') from error
    leaf = dataset
    while inner_data_sets(leaf):
        leaf = inner_data_sets(leaf)[0]
    return getattr(dataset, 'metainfo', None) or {}, list(getattr(getattr(leaf, 'pipeline', None), 'transforms', ()))


def inner_data_sets(dataset: Dataset) -> list[Dataset]:
    """The data sets that one joins, repeats, balances or mixes, by the attributes of MMEngine and PyTorch; else none.

    Args:
        dataset: built.
    """
    return [
        part
        for part in getattr(dataset, 'datasets', None) or (getattr(dataset, 'dataset', None),)
        if hasattr(part, '__getitem__') and not isinstance(part, (str, list, tuple, dict))
    ]


def innermost_config(config: dict) -> dict:
    """The config of the first data set within those that join, repeat, balance or mix others.

    Args:
        config: of any data set.
    """
    while config.get('dataset') or config.get('datasets'):
        config = config['dataset'] if config.get('dataset') else config['datasets'][0]
    return config


def _without_files(config: dict) -> Dataset | None:
    """A stand-in for a data set of MMSegmentation that asserts that its files exist: its names, numbers and pipeline.

    PascalVOCDataset and others do so even where they could wait. None for data sets that name no classes beforehand.
    """
    config = innermost_config(config)
    kind = DATASETS.get(config['type']) if isinstance(config['type'], str) else config['type']
    if not issubclass(kind, BaseSegDataset) or not (kind.METAINFO or config.get('metainfo')):
        return None
    stand_in = type(kind.__name__, (BaseSegDataset,), dict(METAINFO=kind.METAINFO))
    return stand_in(metainfo=config.get('metainfo'), pipeline=config.get('pipeline') or [], lazy_init=True)


def _lazy(node: Any) -> Any:
    """Let every data set within wait with reading its files that knows how to."""
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
    parameters = inspect.signature(kind.__init__).parameters.values()
    if any(each.name == 'lazy_init' or each.kind is each.VAR_KEYWORD for each in parameters):
        node['lazy_init'] = True
    return node
