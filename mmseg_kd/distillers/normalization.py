"""Conversion of images from the student's normalization to the teacher's."""

from __future__ import annotations

import torch
from mmengine.model import BaseDataPreprocessor
from torch import Tensor, nn


class Renormalize:
    """Convert normalized images from one data preprocessor's mean, std and channel order to another's.

    It converts normalized images instead of preprocessing raw ones twice, which also serves images that were mixed
    after preprocessing. Padding, 0 for the source, becomes the source's mean color in the target's normalization.

    Args:
        source: The data preprocessor of the student.
        target: The data preprocessor of the teacher.

    Shape:
        (N, C, H, W), equal in and out; the same tensor object where the two preprocessors agree. Three channels are
        swapped if the orders differ.

    Raises:
        ValueError: if the preprocessors differ and the mean and std of one of them are unknown.
    """

    def __init__(self, source: nn.Module, target: nn.Module) -> None:
        self._same = (
            type(source) is type(target)
            and _buffers_equal(source, target)
            and swaps_channels(source) == swaps_channels(target)
        )
        if self._same:
            return
        for preprocessor in (source, target):
            if not _is_known(preprocessor):
                raise ValueError(
                    f'images of a {type(source).__name__} cannot be converted to those of a {type(target).__name__}, '
                    f'since the mean and std of a {type(preprocessor).__name__} are not known; give student and '
                    'teacher the same data_preprocessor, or derive yours from SegDataPreProcessor'
                )
        mean, std = _statistics(source)
        target_mean, target_std = _statistics(target)
        self._swap = swaps_channels(source) != swaps_channels(target)
        # Channels are swapped first, so the source's values must be in the target's order.
        self._scaling = {
            swap: [s / target_std, (m - target_mean) / target_std]
            for swap, m, s in ((False, mean, std), (True, mean.flip(0), std.flip(0)))
        }
        self._same = (
            not self._swap
            and torch.equal(*torch.broadcast_tensors(mean, target_mean))
            and torch.equal(*torch.broadcast_tensors(std, target_std))
        )

    def __call__(self, inputs: Tensor) -> Tensor:
        if self._same:
            return inputs
        swap = self._swap and inputs.shape[1] == 3
        gain, offset = self._scaling[swap] = [value.to(inputs) for value in self._scaling[swap]]
        return (inputs.flip(1) if swap else inputs) * gain + offset


def normalizes(preprocessor: nn.Module) -> bool:
    """Whether a data preprocessor has a mean and a std. One of an unknown kind is assumed to normalize by itself."""
    return not _is_known(preprocessor) or bool(getattr(preprocessor, '_enable_normalize', False))


def _is_known(preprocessor: nn.Module) -> bool:
    """Whether mean and std can be read, or there are none."""
    # The attribute exists in upstream's preprocessor for segmentation and in MMEngine's, from which the continuation's
    # is derived.
    return hasattr(preprocessor, '_enable_normalize') or type(preprocessor) in (BaseDataPreprocessor, nn.Identity)


def swaps_channels(preprocessor: nn.Module | None) -> bool:
    """Whether channels are swapped; upstream's preprocessor and MMEngine's have different names for it."""
    return any(getattr(preprocessor, name, False) for name in ('channel_conversion', '_channel_conversion'))


def _statistics(preprocessor: BaseDataPreprocessor) -> tuple[Tensor, Tensor]:
    """Mean and std, (C, 1, 1), or (1, 1, 1) for all channels."""
    if not getattr(preprocessor, '_enable_normalize', False):
        return torch.zeros(1, 1, 1), torch.ones(1, 1, 1)
    return preprocessor.mean.cpu(), preprocessor.std.cpu()


def _buffers_equal(source: nn.Module, target: nn.Module) -> bool:
    first, second = dict(source.named_buffers()), dict(target.named_buffers())
    return first.keys() == second.keys() and all(torch.equal(first[key].cpu(), second[key].cpu()) for key in first)
