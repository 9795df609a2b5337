"""Classes as directions in feature space."""
from torch import Tensor

from .ops import unit


def prototypes(features: Tensor, masks: Tensor) -> Tensor:
    """Directions (C, K) of the classes in the batch, from features (N, C, H, W) and masks (N, P, K)."""
    return unit((unit(features.flatten(2)) @ masks).sum(0), dim=0)


def prototype_cosines(features: Tensor, masks: Tensor) -> Tensor:
    """How much each pixel resembles each class, (N, K, P)."""
    return prototypes(features, masks).T @ unit(features.flatten(2))
