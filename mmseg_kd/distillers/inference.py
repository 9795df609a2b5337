"""Forward passes without losses, and the images that networks take."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

from mmseg.models import EncoderDecoder
from mmseg.models.decode_heads import PointHead
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.segmentors import MultimodalEncoderDecoder
from torch import Tensor, nn

from ..models.class_map import MappedHead
from .taps import Taps


def forward_inference(model: nn.Module, inputs: Tensor, paths: Iterable[str]) -> dict[str, Any]:
    """Run a segmentor as deep as the paths need, without losses, and return their values.

    Auxiliary heads, which inference leaves out, run only where a path lies in one.
    """
    paths = list(paths)
    with Taps(model, paths, inputs, stop_early=True) as values:
        if values.keys() != set(paths):
            run_network(model, inputs, any(path.startswith('auxiliary_head') for path in paths))
    return values


def run_network(model: nn.Module, inputs: Tensor, auxiliary: bool = False) -> None:
    """Run all modules that a prediction needs, for recorders of their outputs.

    Args:
        model: The segmentor.
        inputs: The preprocessed images (N, C, H, W).
        auxiliary: Whether to run the auxiliary heads too.
    """
    if isinstance(model, EncoderDecoder):
        _encode_decode(model, inputs, auxiliary)
    elif isinstance(model, MultimodalEncoderDecoder):
        model.encode_decode(inputs, _metas(inputs))  # its mode='tensor' lacks an input of the head
    else:
        model(inputs, mode='tensor')


def _encode_decode(model: EncoderDecoder, inputs: Tensor, auxiliary: bool) -> None:
    """Heads that need features alone are called by ``forward``, without the resizing that ``predict`` adds."""
    head: BaseDecodeHead
    features = model.extract_feat(inputs)
    if auxiliary:
        for head in model.auxiliary_head if isinstance(model.auxiliary_head, nn.ModuleList) else [model.auxiliary_head]:
            head.forward(features)
    given = [features]
    for head in model.decode_head if isinstance(model.decode_head, nn.ModuleList) else [model.decode_head]:
        if _takes(head, given):
            given = [features, head.forward(*given)]
        else:
            head.predict(*given, _metas(inputs), model.test_cfg)


def _takes(head: nn.Module, given: list[Any]) -> bool:
    """Whether ``forward`` needs only features and the output of the previous head. Mask classifiers need more."""
    head = head.head if isinstance(head, MappedHead) else head
    try:
        inspect.signature(type(head).forward).bind(head, *given)
    except TypeError:
        return False
    return not isinstance(head, PointHead)  # its two inputs include points


def _metas(images: Tensor) -> list[dict]:
    size = tuple(images.shape[2:])
    return [dict(ori_shape=size, img_shape=size, pad_shape=size, padding_size=[0, 0, 0, 0]) for _ in images]


def image_channels(model: nn.Module) -> int:
    """Channels of the images of a segmentor: those that its preprocessor normalizes or its first convolution reads."""
    mean = getattr(getattr(model, 'data_preprocessor', None), 'mean', None)
    if isinstance(mean, Tensor) and mean.numel() > 1:
        return mean.numel()
    first = next((module for module in model.modules() if isinstance(module, nn.Conv2d)), None)
    return 3 if first is None else first.in_channels


def image_size(preprocessor: nn.Module | dict | None, default: int = 512) -> tuple[int, int]:
    """Height and width of the images with which a network is trained.

    Args:
        preprocessor: The data preprocessor or its config. One without ``size`` keeps the size of images, up to a
            multiple of its ``size_divisor``.
        default: The side to assume where the size is not fixed.
    """
    get = preprocessor.get if isinstance(preprocessor, dict) else lambda key: getattr(preprocessor, key, None)
    size: Any = get('size')
    if size is not None:
        return tuple(size)
    divisor = get('size_divisor') or 1
    return (-(-default // divisor) * divisor,) * 2
