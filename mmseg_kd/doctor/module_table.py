"""The features that a term can read in one or several networks, with paths, shapes and strides."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from ..distillers.dry_run import NORMS, shapes_alone, to_zeros
from ..distillers.inference import image_channels, run_network
from ..distillers.taps import LOGITS, PRELOGITS, PathError, Taps
from ..io.tables import markdown_table


@dataclass
class Feature:
    """A tensor that a term can read.

    Args:
        names: paths of the tensor; the main path is the first.
        shape: shape without the batch: (C, H, W) of a map, (L, C) of tokens.
        stride: downsampling factor from the image, on a side; 0 for tensors without spatial positions.

    Example:
        >>> Feature(['backbone[3]'], shape=(512, 64, 128), stride=8).stride
        8
    """

    names: list[str]
    shape: tuple[int, ...]
    stride: int


@torch.no_grad()
def features(skeleton: nn.Module, size: Sequence[int]) -> list[Feature]:
    """Stages and outputs of a segmentor, in the order of computation, with auxiliary heads at the end.

    These are the children of backbone, neck and heads, the items of their outputs, ``prelogits`` and ``logits``. Every
    module of a module list counts. Normalizations and layers without weights are left out.

    Args:
        skeleton: segmentor from :func:`mmseg_kd.distillers.dry_run.build_skeleton`, for a teacher; or the result of
            :func:`~mmseg_kd.distillers.dry_run.as_trained` for it, for a student.
        size: size of the images, (H, W).

    Example:
        >>> from mmengine.registry import init_default_scope
        >>> from mmseg_kd.testing.toys import toy_batch, toy_segmentor
        >>> from mmseg_kd.distillers.dry_run import build_skeleton
        >>> init_default_scope('mmseg')  # a Runner does this
        >>> found = features(build_skeleton(toy_segmentor(auxiliary=False)), (32, 32))
        >>> found[-1].names[0], found[-1].shape
        ('logits', (4, 4, 4))
    """
    # In evaluation mode dropout returns its input, and `prelogits` would be the same tensor as the feature before.
    for module in skeleton.modules():
        if isinstance(module, _DropoutNd):
            module.train()
    try:
        with shapes_alone(skeleton.to('meta')):
            values = _record(skeleton, size, 'meta')
    except Exception:
        values = _record(to_zeros(skeleton), size, 'cpu')
    found: dict[int, Feature] = {}
    kept = []  # keeps the tensors alive, so that all ids are different
    for path, value in values.items():
        for name, tensor in _tensors(path, value):
            kept.append(tensor)
            if id(tensor) not in found:
                shape = tuple(tensor.shape[1:])
                found[id(tensor)] = Feature([], shape, _stride(shape, size))
            if name not in found[id(tensor)].names:
                found[id(tensor)].names.append(name)
    for feature in found.values():
        feature.names.sort(key=_rank)
    return sorted(found.values(), key=lambda feature: feature.names[0].startswith('auxiliary_head'))


def module_table(networks: dict[str, list[Feature]]) -> str:
    """A table of the features of several networks: path, and shape and stride in each network.

    Args:
        networks: features by name of the network. Features with the same first path share a row, which shows their
            common names. Rows that differ only in a running number are merged.
    """
    by_path = {label: {feature.names[0]: feature for feature in found} for label, found in networks.items()}
    order: list[str] = []
    for known in by_path.values():
        at = 0
        for path in known:
            if path not in order:
                order.insert(at, path)
            at = order.index(path) + 1
    rows = [['path', *(cell for label in networks for cell in (label, 'stride'))]]
    for path in order:
        here = [known.get(path) for known in by_path.values()]
        present = [feature for feature in here if feature]
        shared = [name for name in present[0].names if all(name in feature.names for feature in present)]
        cells = [
            ('x'.join(map(str, feature.shape)), str(feature.stride or '-')) if feature else ('', '') for feature in here
        ]
        _append(rows, [' = '.join(shared), *(cell for pair in cells for cell in pair)])
    return markdown_table(rows)


def _append(rows: list[list[str]], row: list[str]) -> None:
    """Add a row, or merge it with the last one: ``layers.0..4`` and ``layers.5`` become ``layers.0..5``."""
    last, new = (re.fullmatch(r'(.*?)(\d+)(?:\.\.(\d+))?(\D*)', path) for path in (rows[-1][0], row[0]))
    if (
        last
        and new
        and (last[1], last[4], rows[-1][1:]) == (new[1], new[4], row[1:])
        and int(new[2]) == int(last[3] or last[2]) + 1
    ):
        rows[-1][0] = f'{last[1]}{last[2]}..{new[2]}{last[4]}'
    else:
        rows.append(row)


def _record(model: nn.Module, size: Sequence[int], device: str) -> dict[str, Any]:
    taps = Taps(model, _candidates(model))
    # Two images, because BatchNorm cannot train on a single map of one pixel.
    images = torch.zeros(2, image_channels(model), *size, device=device)
    try:
        with taps:
            run_network(model, images, auxiliary=getattr(model, 'auxiliary_head', None) is not None)
    except PathError:
        pass  # a module that does not run in inference
    return taps.values


def _candidates(model: nn.Module) -> list[str]:
    paths = [
        path
        for part, module in model.named_children()
        if part != 'data_preprocessor'
        for path in _worth_reading(part, module, depth=1)
    ]
    return paths + [path for path in (PRELOGITS, LOGITS) if _readable(model, path)]


def _worth_reading(path: str, module: nn.Module, depth: int) -> Iterator[str]:
    runs = type(module).forward is not nn.ModuleList.forward if isinstance(module, nn.ModuleList) else True
    if runs and any(True for _ in module.parameters()) and not isinstance(module, NORMS):
        yield path
    for name, child in module.named_children() if not runs or depth else ():
        yield from _worth_reading(f'{path}.{name}', child, depth - 1 if runs else depth)


def _readable(model: nn.Module, path: str) -> bool:
    try:
        Taps(model, [path])
    except PathError:
        return False
    return True


def _tensors(path: str, value: Any) -> Iterator[tuple[str, Tensor]]:
    if isinstance(value, Tensor) and value.dim() > 1:
        yield path, value
    elif isinstance(value, (tuple, list, dict)):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _tensors(f'{path}[{key}]', item)


def _stride(shape: tuple[int, ...], size: Sequence[int]) -> int:
    if len(shape) == 3 and shape[1] > 1 and shape[2] > 1:
        return round(size[0] / shape[1])
    if len(shape) == 2 and shape[0] > 1:  # tokens, possibly with a class token
        return round((size[0] * size[1] / shape[0]) ** 0.5)
    return 0


def _rank(name: str) -> tuple[bool, bool, int]:
    return name not in (LOGITS, PRELOGITS), not name.endswith(']'), len(name)
