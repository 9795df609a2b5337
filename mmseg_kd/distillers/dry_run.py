"""Find the shapes of a network's features without its weights, and mostly without computation."""

import copy
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from mmseg.models.decode_heads.ema_head import EMAModule
from mmseg.registry import MODELS
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.overrides import TorchFunctionMode

from .inference import forward_inference, image_channels
from .taps import PathError

NORMS = (_NormBase, nn.GroupNorm, nn.LayerNorm)
INTERPOLATE = inspect.signature(nn.functional.interpolate)


def build_skeleton(config: dict) -> nn.Module:
    """Build a segmentor on torch's meta device, which allocates nothing; on the CPU if its constructor reads values."""
    try:
        with torch.device('meta'):
            return MODELS.build(copy.deepcopy(config)).eval()
    except Exception:
        # Swin and MiT read the values of a linspace. A wrong config fails again here, with its own message.
        return MODELS.build(copy.deepcopy(config)).eval()


def as_trained(skeleton: nn.Module) -> nn.Module:
    """Switch a skeleton to training mode, in which some networks (PIDNet, DDRNet) return more than in testing.

    Layers that would update statistics stay in eval mode, which works with one image and one process.
    """
    skeleton.train()
    for module in skeleton.modules():
        if isinstance(module, (_NormBase, EMAModule)):
            module.eval()
    return skeleton


def run_skeleton(model: nn.Module, paths: Iterable[str], size: Sequence[int]) -> dict[str, Any]:
    """Values of the paths for one image of the given size (H, W), as tensors on the meta device, in the model's mode.

    Raises:
        PathError: if a path cannot be read.
    """
    paths = list(paths)
    try:
        with shapes_alone(model.to('meta')):
            return _run(model, paths, size, 'meta')
    except PathError:
        raise
    except Exception:
        to_zeros(model)
    try:
        return _run(model, paths, size, 'cpu')
    except PathError:
        raise
    except Exception:
        if not model.training:
            raise
    return _run(model.eval(), paths, size, 'cpu')  # this network needs more than images in training mode


@contextmanager
def shapes_alone(model: nn.Module) -> Iterator[None]:
    """Skip what changes no shape of a model on the meta device: normalizations, and the weights of interpolations.

    PyTorch computes them in Python there, which is most of the time of a dry run.
    """
    layers: list[nn.Module] = [module for module in model.modules() if isinstance(module, NORMS)]
    try:
        for layer in layers:
            layer.forward = _first
        with NearestNeighbours():
            yield
    finally:
        for layer in layers:
            vars(layer).pop('forward', None)


def _first(values: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
    return values


class NearestNeighbours(TorchFunctionMode):
    """Let every interpolation take the nearest neighbours: the sizes are those of all other modes."""

    def __torch_function__(
        self, function: Callable, types: Any, arguments: tuple = (), options: dict[str, Any] | None = None
    ) -> Any:
        if function is not nn.functional.interpolate:
            return function(*arguments, **(options or {}))
        given = INTERPOLATE.bind(*arguments, **(options or {}))
        given.arguments.update(mode='nearest', align_corners=None, antialias=False)
        return function(*given.args, **given.kwargs)


def to_zeros(model: nn.Module) -> nn.Module:
    """Move the model to the CPU with all weights zero, for a forward pass that reads values.

    Zeros are also valid indices where a buffer holds some; uninitialized memory is not.
    """
    model.to_empty(device='cpu')
    for tensor in (*model.parameters(), *model.buffers()):
        tensor.detach().zero_()
    return model


@torch.no_grad()
def _run(model: nn.Module, paths: Iterable[str], size: Sequence[int], device: str) -> dict[str, Any]:
    values = forward_inference(model, torch.zeros(1, image_channels(model), *size, device=device), paths)
    return {path: _to_meta(value) for path, value in values.items()}


def _to_meta(value: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return tuple(map(_to_meta, value))
    if isinstance(value, Mapping):
        return {key: _to_meta(item) for key, item in value.items()}
    return value.detach().to('meta') if isinstance(value, torch.Tensor) else value
