"""What one channel says about two classes."""

import torch
from torch import Tensor


def two_classes(x: Tensor, dim: int = 1) -> Tensor:
    r"""The logits (-z/2, z/2) of both classes along ``dim``, where that has one channel z; what has more stays as it
    is.

    Their softmax at temperature T is the Bernoulli distribution of :math:`\sigma(z / T)`. Weights of a classifier with
    one output, (1, ...), become those of one with two by ``dim=0``.
    """
    return torch.cat([-x / 2, x / 2], dim) if x.shape[dim] == 1 else x
