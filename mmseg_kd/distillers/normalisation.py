from typing import Tuple

import torch
from torch import Tensor, nn


class Renormalise:
    """Convert normalised images from one data preprocessor's mean, deviation and channel order to another's.

    Working on the normalised images, rather than preprocessing the raw ones twice, also serves images that were mixed
    after preprocessing. Padding, 0 for the source, becomes the source's mean colour as the target sees it.

    Args:
        source: data preprocessor of the student.
        target: data preprocessor of the teacher.

    Shape:
        (N, 3, H, W), equal in and out; the very same tensor where the two preprocessors agree.
    """

    def __init__(self, source: nn.Module, target: nn.Module) -> None:
        mean, std, swapped = _statistics(source)
        target_mean, target_std, target_swapped = _statistics(target)
        self._order = [2, 1, 0] if swapped != target_swapped else [0, 1, 2]
        mean, std = mean[self._order], std[self._order]
        self._gain, self._offset = std / target_std, (mean - target_mean) / target_std
        self._same = swapped == target_swapped and torch.equal(mean, target_mean) and torch.equal(std, target_std)

    def __call__(self, inputs: Tensor) -> Tensor:
        if self._same:
            return inputs
        self._gain, self._offset = self._gain.to(inputs), self._offset.to(inputs)
        return inputs[:, self._order] * self._gain + self._offset


def _statistics(preprocessor: nn.Module) -> Tuple[Tensor, Tensor, bool]:
    """Mean and standard deviation (3, 1, 1), and whether channels were swapped.

    Upstream's preprocessor for segmentation and MMEngine's own, on which the continuation's builds, name these alike but
    for the swap.
    """
    swapped = any(getattr(preprocessor, name, False) for name in ('channel_conversion', '_channel_conversion'))
    if not getattr(preprocessor, '_enable_normalize', False):
        return torch.zeros(3, 1, 1), torch.ones(3, 1, 1), swapped
    return preprocessor.mean.cpu().expand(3, 1, 1), preprocessor.std.cpu().expand(3, 1, 1), swapped
