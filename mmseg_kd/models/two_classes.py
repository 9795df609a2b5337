"""One logit as the logits of two classes."""

import torch
from torch import Tensor


def two_classes(x: Tensor, dim: int = 1) -> Tensor:
    r"""The logits (-z/2, z/2) of both classes if ``dim`` has one channel z; the input itself if it has more.

    Their softmax at temperature T is the Bernoulli distribution of :math:`\sigma(z / T)`. With ``dim=0``, the weights
    (1, ...) of a classifier with one output become those of a classifier with two.

    Example:
        >>> import torch
        >>> from mmseg_kd.models.two_classes import two_classes
        >>> two_classes(torch.tensor([[3.0]])).tolist()
        [[-1.5, 1.5]]
    """
    return torch.cat([-x / 2, x / 2], dim) if x.shape[dim] == 1 else x
