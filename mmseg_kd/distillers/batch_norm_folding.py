"""Fold the batch norms of a frozen network into the convolutions before them."""

import logging
import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from mmengine.logging import print_log
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

TOLERANCE = 1e-4  # largest error of an output in float32, relative to its largest value


def fold_batch_norms(network: nn.Module, run: Callable[[], dict[str, Any]], key: str = 'fold_batch_norm') -> list[str]:
    r"""Replace each batch norm that directly follows a convolution by weights and a bias of the convolution.

    .. math:: W' = \frac{\gamma}{\sqrt{\sigma^2 + \epsilon}} W, \qquad
        b' = \beta + \frac{\gamma}{\sqrt{\sigma^2 + \epsilon}} (b - \mu)

    Which layers follow each other is observed in a forward pass. A convolution keeps its batch norm if its own output
    or a parameter of the two is among the values that are read, or if one of the two runs twice. A second pass compares
    the values that are read: if one of them changes, all layers are restored, with a warning.

    Args:
        network: The network in eval mode; it is changed in place. A folded batch norm becomes an ``nn.Identity``, so
            that its path stays valid.
        run: A function that runs the network in float32, and returns all values that will be read.
        key: The key of the option, for the warning.

    Returns:
        list[str]: The names of the folded batch norms.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from mmseg_kd.distillers.batch_norm_folding import fold_batch_norms
        >>> network = nn.Sequential(nn.Conv2d(3, 4, 1, bias=False), nn.BatchNorm2d(4), nn.ReLU()).eval()
        >>> images = torch.randn(1, 3, 8, 8)
        >>> with torch.no_grad():
        ...     fold_batch_norms(network, lambda: dict(output=network(images)))
        ['1']
        >>> network[1]
        Identity()
    """
    # Both passes see the same random numbers, and the training loses none of them.
    device = next(network.parameters()).device
    devices = [device] if device.type == 'cuda' else []
    with torch.random.fork_rng(devices):
        pairs, expected = _observe(network, run)
    names = {module: name for name, module in network.named_modules()}
    restore = [_fold(network, names[norm], conv, norm) for conv, norm in pairs]
    with torch.random.fork_rng(devices):
        error = output_error(expected, run())
    if not error <= TOLERANCE:
        for undo in reversed(restore):
            undo()
        print_log(
            f'{key}: batch norms are not folded, because an output would change by {error:.1g} of its largest value',
            'current',
            logging.WARNING,
        )
        return []
    return [names[norm] for _, norm in pairs]


def _observe(
    network: nn.Module, run: Callable[[], dict[str, Any]]
) -> tuple[list[tuple[nn.Conv2d, _BatchNorm]], dict[str, list[Tensor]]]:
    """Convolutions with the batch norms that follow them, and copies of the values that are read."""
    made: dict[int, tuple[nn.Conv2d, Callable[[], Tensor | None], int]] = {}
    pairs: list[tuple[nn.Conv2d, _BatchNorm]] = []
    runs: Counter[nn.Module] = Counter()

    def after_conv(conv: nn.Conv2d, inputs: tuple, output: Tensor) -> None:
        runs[conv] += 1
        made[id(output)] = conv, weakref.ref(output), output._version

    def before_norm(norm: _BatchNorm, inputs: tuple) -> None:
        runs[norm] += 1
        if id(inputs[0]) in made:
            conv, output, version = made[id(inputs[0])]
            given = output()
            # A layer in between that works in place, such as a ReLU, changes the version.
            if given is not None and given is inputs[0] and given._version == version:
                pairs.append((conv, norm))

    hooks = []
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            hooks.append(module.register_forward_hook(after_conv))
        elif isinstance(module, _BatchNorm):
            hooks.append(module.register_forward_pre_hook(before_norm))
    try:
        values = run()
    finally:
        for hook in hooks:
            hook.remove()
    read = {id(tensor) for tensor in _tensors(values)}
    outputs = {conv: id(output()) for conv, output, _ in made.values() if output() is not None}

    def folds(conv: nn.Conv2d, norm: _BatchNorm) -> bool:
        own = {outputs.get(conv), *map(id, conv.parameters()), *map(id, norm.parameters()), *map(id, norm.buffers())}
        return runs[conv] == runs[norm] == 1 and norm.running_var is not None and not norm.training and not own & read

    copies = {name: [tensor.clone() for tensor in _tensors(value)] for name, value in values.items()}
    return [pair for pair in pairs if folds(*pair)], copies


def _fold(network: nn.Module, name: str, conv: nn.Conv2d, norm: _BatchNorm) -> Callable[[], None]:
    """Fold one pair; the returned function restores it."""
    weight, bias = conv.weight, conv.bias
    mean, variance = norm.running_mean, norm.running_var
    assert mean is not None and variance is not None
    gain = torch.rsqrt(variance.double() + norm.eps)
    if norm.weight is not None:
        gain = gain * norm.weight.double()
    shift = -mean.double() if bias is None else bias.double() - mean.double()
    shift = gain * shift + (0 if norm.bias is None else norm.bias.double())
    folded = (weight.double() * gain[:, None, None, None]).to(weight)
    conv.weight = nn.Parameter(folded.contiguous(memory_format=_format(weight)), requires_grad=False)
    conv.bias = nn.Parameter(shift.to(weight), requires_grad=False)
    parent_name, _, own_name = name.rpartition('.')
    parent = network.get_submodule(parent_name)
    setattr(parent, own_name, nn.Identity())

    def undo() -> None:
        conv.weight, conv.bias = weight, bias
        setattr(parent, own_name, norm)

    return undo


def _format(weight: Tensor) -> torch.memory_format:
    return torch.contiguous_format if weight.is_contiguous() else torch.channels_last


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _tensors(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _tensors(item)


def output_error(expected: dict[str, Any], found: dict[str, Any]) -> float:
    """The largest difference between two sets of values by path, relative to the largest number of a value.

    >>> output_error(dict(logits=torch.tensor([4.0, 1.0])), dict(logits=torch.tensor([4.0, 2.0])))
    0.25
    """
    errors = [0.0]
    for name, values in expected.items():
        for first, second in zip(_tensors(values), _tensors(found[name])):
            if first.is_floating_point() and first.numel():
                difference = (first.double() - second.double()).abs().max()
                errors.append((difference / first.double().abs().max().clamp_min(1e-12)).item())
    return max(errors)
