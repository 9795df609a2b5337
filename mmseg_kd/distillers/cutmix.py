import math
from collections.abc import Sequence

import torch
from mmseg.registry import MODELS
from torch import Tensor


@MODELS.register_module()
class CutMix:
    r"""Paste boxes of one image into another.

    For each image and each of ``boxes`` boxes, a share p of the image is sampled evenly from ``area``. It is split into
    a height :math:`y = p^u`, u in [0, 1], and a width :math:`x = p / y`, as shares of the sides. Both are multiplied by
    :math:`\sqrt{1 / boxes}`, so that all boxes together are as large as one of share p. Boxes lie anywhere inside the
    image. Each box toggles the pixels that it covers: where two overlap, the first image returns. With the defaults, 25
    % of the mixed image come from the second one, on average, and almost always between 11 % and 42 %.

    All random numbers come from torch's global generator of the CPU, whatever the device, so that a seeded or restored
    generator gives the same boxes.

    Args:
        boxes: The number of boxes per image.
        area: The smallest and the largest p, in (0, 1].

    Raises:
        ValueError: if ``boxes`` is below 1 or ``area`` is not such a range.

    Example:
        >>> import torch
        >>> from mmseg_kd.distillers import CutMix
        >>> mix, first, second = CutMix(), torch.zeros(2, 3, 8, 8), torch.ones(2, 3, 8, 8)
        >>> mask = mix.sample(2, (8, 8))
        >>> torch.equal(mix.mix(first, second, mask)[:, :1], mask.float())
        True

    Paper: French et al., "Semi-supervised semantic segmentation needs strong, varied perturbations" (BMVC 2020, arXiv
    1906.01916). The numbers are those of Chen et al., "Semi-Supervised Semantic Segmentation with Cross Pseudo
    Supervision" (CVPR 2021, arXiv 2106.01226) and its code.
    """

    def __init__(self, boxes: int = 3, area: Sequence[float] = (0.25, 0.5)) -> None:
        if boxes < 1:
            raise ValueError(f'CutMix: boxes must be >= 1, but is {boxes}')
        if len(area) != 2 or not 0 < area[0] <= area[1] <= 1:
            raise ValueError(f'CutMix: area must be (least, greatest) with 0 < least <= greatest <= 1, but is {area}')
        self.boxes, self.area = boxes, tuple(area)

    def sample(self, num: int, size: tuple[int, int], device: torch.device | str = 'cpu') -> Tensor:
        """Masks (``num``, 1, H, W) for images of ``size`` (H, W), True where the second image is to be seen."""
        share, split, *place = torch.rand(4, num, self.boxes)
        share = self.area[0] + (self.area[1] - self.area[0]) * share
        height = share**split
        inside = []
        for side, extent, position in zip(size, (height, share / height), place):
            length = (extent * math.sqrt(1 / self.boxes) * side).round()
            start = ((side - length) * position).round()[..., None]
            steps = torch.arange(side)
            inside.append(((steps >= start) & (steps < start + length[..., None])).to(device, torch.float32))
        return (torch.einsum('nbh,nbw->nhw', *inside) % 2 > 0.5)[:, None]

    @staticmethod
    def mix(first: Tensor, second: Tensor, mask: Tensor) -> Tensor:
        """``second`` where the mask is True, ``first`` elsewhere.

        Args:
            first: Images, logits or features (N, C, H, W), or maps of labels or padding (N, H, W).
            second: A tensor of the same shape.
            mask: The mask (N, 1, H, W) of :meth:`sample`.

        Raises:
            ValueError: if the shapes do not fit.
        """
        expected = (len(mask), *mask.shape[2:])
        if first.shape != second.shape or (len(first), *first.shape[-2:]) != expected or first.dim() not in (3, 4):
            raise ValueError(
                f'CutMix: the mask {tuple(mask.shape)} needs two equal shapes (N, C, H, W) or (N, H, W) '
                f'with (N, H, W) = {expected}, but got {tuple(first.shape)} and {tuple(second.shape)}; '
                'resize both to the mask before mixing'
            )
        return torch.where(mask if first.dim() == 4 else mask[:, 0], second, first)
