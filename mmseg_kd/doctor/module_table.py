"""Where can a term read? The paths worth reading in one network or several, with shapes and strides."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from ..distillers.dry_run import to_zeros
from ..distillers.inference import image_channels, run_network
from ..distillers.taps import LOGITS, PRELOGITS, PathError, Taps
from ..io.tables import markdown_table

NORMS = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm)


@dataclass
class Place:
    """What can be read, and by which names.

    Args:
        names: paths of the same tensor; the one to show first.
        shape: without the batch: (C, H, W) of a map, (L, C) of tokens.
        stride: pixels of the image to one of it, on a side; 0 for what has no place in the image.
    """

    names: list[str]
    shape: tuple[int, ...]
    stride: int


@torch.no_grad()
def places(skeleton: nn.Module, size: Sequence[int]) -> list[Place]:
    """Stages and outputs of a segmentor, in the order in which they are computed; auxiliary heads last.

    These are the children of backbone, neck and heads (those of a list of modules singly; layers without weights and
    normalizations left out), the items of what they return, ``prelogits`` and ``logits``.

    Args:
        skeleton: a segmentor, as :func:`mmseg_kd.distillers.dry_run.build_skeleton` gives it, which is how a teacher
            runs, or
            :func:`~mmseg_kd.distillers.dry_run.as_trained` made of it, which is how a student runs.
        size: of the images, (H, W).
    """
    # In evaluation mode dropout would hand the very tensor on, and `prelogits` look like what is before it.
    for module in skeleton.modules():
        if isinstance(module, _DropoutNd):
            module.train()
    try:
        values = _record(skeleton.to('meta'), size, 'meta')
    except Exception:
        values = _record(to_zeros(skeleton), size, 'cpu')
    found: dict[int, Place] = {}
    kept = []  # so that no two tensors have the same id
    for path, value in values.items():
        for name, tensor in _tensors(path, value):
            kept.append(tensor)
            if id(tensor) not in found:
                shape = tuple(tensor.shape[1:])
                found[id(tensor)] = Place([], shape, _stride(shape, size))
            if name not in found[id(tensor)].names:
                found[id(tensor)].names.append(name)
    for place in found.values():
        place.names.sort(key=_rank)
    return sorted(found.values(), key=lambda place: place.names[0].startswith('auxiliary_head'))


def module_table(networks: dict[str, list[Place]]) -> str:
    """The places of several networks side by side: path, and shape and stride in each.

    Args:
        networks: by name; a place that several have by the same first path shares a row, which shows the names that
            all of them give it. Rows that differ in a running number alone become one.
    """
    by_path = {label: {place.names[0]: place for place in found} for label, found in networks.items()}
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
        present = [place for place in here if place]
        shared = [name for name in present[0].names if all(name in place.names for place in present)]
        cells = [('x'.join(map(str, place.shape)), str(place.stride or '-')) if place else ('', '') for place in here]
        _append(rows, [' = '.join(shared), *(cell for pair in cells for cell in pair)])
    return markdown_table(rows)


def _append(rows: list[list[str]], row: list[str]) -> None:
    """Add a row, or lengthen the last one: ``layers.0..4`` and ``layers.5`` are ``layers.0..5``."""
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
    # Two, since a BatchNorm of maps of one pixel cannot train on one.
    images = torch.zeros(2, image_channels(model), *size, device=device)
    try:
        with taps:
            run_network(model, images, auxiliary=getattr(model, 'auxiliary_head', None) is not None)
    except PathError:
        pass  # of what is no part of inference
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
    if len(shape) == 2 and shape[0] > 1:  # tokens, maybe with one for the class
        return round((size[0] * size[1] / shape[0]) ** 0.5)
    return 0


def _rank(name: str) -> tuple[bool, bool, int]:
    return name not in (LOGITS, PRELOGITS), not name.endswith(']'), len(name)
