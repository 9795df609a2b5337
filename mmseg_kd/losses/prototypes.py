"""Classes as directions in feature space."""

from torch import Tensor

from .ops import inverse_norm, unit


def prototypes(features: Tensor, masks: Tensor) -> Tensor:
    """Directions (C, K) of the classes in the batch, from features (N, C, H, W) and masks (N, P, K)."""
    return _directions(features, masks)[0]


def prototype_cosines(features: Tensor, masks: Tensor) -> Tensor:
    """Cosine of each pixel with the prototype of each class, (N, K, P)."""
    directions, inverse = _directions(features, masks)
    return directions.T.expand(len(features), -1, -1) @ features.flatten(2) * inverse


def _directions(features: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """Directions (C, K), and one over the length of each pixel (N, 1, P); unit vectors of pixels are never formed."""
    features = features.flatten(2)
    inverse = inverse_norm(features)
    return unit((features @ (masks * inverse.transpose(1, 2))).sum(0), dim=0), inverse
