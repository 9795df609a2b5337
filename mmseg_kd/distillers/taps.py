"""Read the outputs of modules during one forward pass, without changing the model."""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..models.class_map import MappedHead
from .class_logits import PathError, check_head, class_logits

INPUTS, LOGITS, PRELOGITS = 'inputs', 'logits', 'prelogits'


class _Probe(NamedTuple):
    """The place where one path is read: a module's output (or its input), one item of it, or a head's class logits."""

    path: str
    read_input: bool = False
    keys: tuple[int | str, ...] = ()
    head: nn.Module | None = None


class _Enough(Exception):
    """Ends a forward pass of which nothing more is read."""


class Taps:
    """Context manager that records what the named paths of a model hold during one forward pass.

    On entry, the ``forward`` of each module that is read is wrapped; on exit, it is restored. Hooks would not suffice:
    MMSegmentation's heads call ``self.forward`` from their ``loss``, which bypasses forward hooks. A module that runs
    several times in a pass is read at its first run. A value that a later module changes in place (such as a ReLU with
    ``inplace=True`` after a BatchNorm) is read as changed, in both networks.

    Args:
        model: The segmentor.
        paths: The paths to read. Each is one of

            - a dotted module path (``backbone.layer3``): the output of the module; with an index (``backbone[2]``,
              ``neck[0]``): one item of it; with several (``backbone[-1][0]``): an item of an item; with a name
              (``backbone[high]``): an entry of a dict;
            - the path of a parameter (``decode_head.conv_seg.weight``);
            - ``logits``: the class maps from which the prediction is made, before they are resized, with two channels
              or more; see :func:`~mmseg_kd.distillers.class_logits.class_logits`;
            - ``prelogits``: the input of the classifier ``conv_seg`` of that head, after dropout;
            - ``inputs``: the preprocessed images.
        inputs: The images (N, 3, H, W) of the pass; only needed where ``'inputs'`` is read.
        stop_early: Whether to end the pass as soon as everything has been read.

    Raises:
        PathError: on construction, if a path does not exist in the model (with the closest names that exist); on exit,
            if a module did not run.

    Example:
        >>> import torch
        >>> from mmseg.registry import MODELS
        >>> from mmengine.registry import init_default_scope
        >>> from mmseg_kd.distillers import Taps
        >>> from mmseg_kd.testing.toys import toy_segmentor
        >>> init_default_scope('mmseg')  # a Runner does this
        >>> model = MODELS.build(toy_segmentor(num_classes=4)).eval()
        >>> with Taps(model, ['backbone[3]', 'logits']) as values:
        ...     outputs = model(torch.zeros(1, 3, 32, 32), mode='tensor')
        >>> values['backbone[3]'].shape, values['logits'].shape
        (torch.Size([1, 64, 4, 4]), torch.Size([1, 4, 4, 4]))
    """

    def __init__(
        self, model: nn.Module, paths: Iterable[str], inputs: Tensor | None = None, stop_early: bool = False
    ) -> None:
        self.values: dict[str, Any] = {}
        self._stop_early = stop_early
        self._probes: dict[str, list[_Probe]] = {}
        self._model = model
        for path in dict.fromkeys(paths):
            if path == INPUTS:
                self.values[path] = inputs
                continue
            module, probe = _resolve(model, path)
            if module is None or probe is None:
                self.values[path] = _attribute(model, path)
            else:
                self._probes.setdefault(module, []).append(probe)
        self._pending = {probe.path for probes in self._probes.values() for probe in probes}
        self._restore: list[tuple[nn.Module, Callable | None]] = []

    def __enter__(self) -> dict[str, Any]:
        for name, probes in self._probes.items():
            module = self._model.get_submodule(name)
            self._restore.append((module, module.__dict__.get('forward')))
            module.forward = self._wrap(module.forward, probes)
        return self.values

    def __exit__(self, kind, error, traceback) -> bool:
        for module, forward in reversed(self._restore):
            if forward is None:
                del module.__dict__['forward']
            else:
                module.forward = forward
        self._restore.clear()
        if kind is None and self._pending:
            raise PathError(
                f'{_quoted(self._pending)} did not run in this forward pass, so there is nothing to read; '
                'name a module that takes part in it'
            )
        return kind is _Enough

    def _wrap(self, forward: Callable, probes: list[_Probe]) -> Callable:

        # A graph break here keeps torch.compile from fixing the record of one step in the compiled module.
        @torch.compiler.disable(recursive=False)
        def recorded(*args, **kwargs):
            self._record([p for p in probes if p.read_input], args[0] if args else None)
            output = forward(*args, **kwargs)
            self._record([p for p in probes if not p.read_input], output)
            return output

        return recorded

    def _record(self, probes: list[_Probe], value: Any) -> None:
        for probe in probes:
            if probe.path in self._pending:
                self.values[probe.path] = _select(value, probe)
                self._pending.discard(probe.path)
        if probes and self._stop_early and not self._pending:
            raise _Enough


def known_paths(model: nn.Module) -> list[str]:
    """All paths that :class:`Taps` can read in ``model``, without those with an index."""
    names = [name for name, _ in model.named_modules() if name] + [name for name, _ in model.named_parameters()]
    return [INPUTS, LOGITS, PRELOGITS, *names]


def output_head(model: nn.Module) -> tuple[str, nn.Module]:
    """Name and module of the decode head whose output is the segmentor's (the last one of a cascade)."""
    head = getattr(model, 'decode_head', None)
    if head is None:
        raise PathError(
            f'{type(model).__name__} has no decode_head, so "logits" and "prelogits" are not available; '
            'name a module of it instead'
        )
    if isinstance(head, nn.ModuleList):
        return f'decode_head.{len(head) - 1}', head[-1]
    return 'decode_head', head


def _resolve(model: nn.Module, path: str) -> tuple[str | None, _Probe | None]:
    """The module that has to run for ``path`` and how to read it; (None, None) for a parameter."""
    if path == LOGITS:
        name, head = output_head(model)
        check_head(head)
        return f'{name}.head' if isinstance(head, MappedHead) else name, _Probe(path, head=head)
    if path == PRELOGITS:
        name, head = output_head(model)
        if not isinstance(getattr(head, 'conv_seg', None), nn.Module):
            raise PathError(
                f'"prelogits" is what decode_head.conv_seg reads, but {type(head).__name__} has no conv_seg; '
                'name a module of it instead'
            )
        return f'{name}.conv_seg', _Probe(path, read_input=True)
    match = re.fullmatch(r'([^][]+)((?:\[[^][]+\])*)', path)
    name, keys = (match[1], _keys(match[2])) if match else (path, ())
    found = _attribute(model, name)
    if isinstance(found, nn.Module):
        return name, _Probe(path, keys=keys)
    if isinstance(found, Tensor) and not keys:
        return None, None
    close = difflib.get_close_matches(path, known_paths(model), n=3, cutoff=0.4)
    raise PathError(
        f'"{path}" names no module or parameter of {type(model).__name__}; '
        f'closest are: {_quoted(close) if close else "none"}'
    )


def _keys(indices: str) -> tuple[int | str, ...]:
    """The contents of ``[...][...]``: numbers for items, and names for entries of a dict."""
    keys = (key.strip('\'"') for key in re.findall(r'\[([^][]+)\]', indices))
    return tuple(int(key) if re.fullmatch(r'-?\d+', key) else key for key in keys)


def _attribute(model: nn.Module, path: str) -> nn.Module | Tensor | None:
    found: Any = model
    for name in path.split('.'):
        found = getattr(found, name, None) if not name.isdigit() else _item(found, int(name))
    return found


def _item(container: Any, index: int) -> Any:
    return (
        container[index] if isinstance(container, (nn.ModuleList, nn.Sequential)) and index < len(container) else None
    )


def _select(value: Any, probe: _Probe) -> Any:
    for position, key in enumerate(probe.keys):
        what = f'"{probe.path}" asks for item {key}, but '
        what += f'item {probe.keys[position - 1]}' if position else 'the module'
        if isinstance(value, Mapping) and key in value:
            value = value[key]
        elif isinstance(value, Mapping):
            raise PathError(f'{what} holds {_quoted(map(str, value))}')
        elif not isinstance(value, (tuple, list)):
            raise PathError(f'{what} is one {type(value).__name__}; leave the index out')
        elif not isinstance(key, int) or not -len(value) <= key < len(value):
            raise PathError(f'{what} holds {len(value)} items, [0] to [{len(value) - 1}]')
        else:
            value = value[key]
    return value if probe.head is None else class_logits(probe.head, value)


def _quoted(names: Iterable[str]) -> str:
    return ', '.join(f'"{name}"' for name in sorted(names))
