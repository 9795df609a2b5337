"""How much a network's output says that the labels do not."""

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from ..constants import IGNORE_INDEX

SURE = 0.9  # the probability from which a network counts as sure


@dataclass
class OutputKnowledge:
    """What the probabilities of a network say beyond the labels, counted over pixels. The sum of two counts both.

    Args:
        right: Number of pixels whose predicted class is the label.
        entropy: Sum of the entropies of these pixels, in nats.
        ignored: Number of pixels that the labels ignore.
        sure: Number of ignored pixels where the network is sure: its largest probability is at least 0.9.
        pixels: Number of all pixels.

    Example:
        >>> shares = torch.tensor([[[0.95, 0.5, 0.5]], [[0.05, 0.5, 0.5]]])
        >>> counted = OutputKnowledge.of(shares, torch.tensor([[0, 0, 0]]), torch.tensor([[255, 0, 1]]))
        >>> f'{counted.mean_entropy:.3f}', counted.ignored, counted.sure, counted.right
        ('0.693', 1, 1, 1)
    """

    right: int = 0
    entropy: float = 0.0
    ignored: int = 0
    sure: int = 0
    pixels: int = 0

    @classmethod
    def of(cls, shares: Tensor, predicted: Tensor, labels: Tensor) -> 'OutputKnowledge':
        """Count one image.

        Args:
            shares: Probabilities (C, H, W). Their sum is below 1 where the network sees a class that a ``class_map``
                leaves out; the entropy is that of the normalized ones, as in terms.
            predicted: Predicted classes (H, W).
            labels: Classes (H, W), 255 for ignored pixels.
        """
        right, ignored = predicted == labels, labels == IGNORE_INDEX
        chosen = shares[:, right]
        chosen = chosen / chosen.sum(0).clamp_min(torch.finfo(chosen.dtype).tiny)
        return cls(
            right=int(right.sum()),
            entropy=float(-torch.xlogy(chosen, chosen).sum()),
            ignored=int(ignored.sum()),
            sure=int((shares.amax(0)[ignored] >= SURE).sum()),
            pixels=labels.numel(),
        )

    def __add__(self, other: 'OutputKnowledge') -> 'OutputKnowledge':
        return OutputKnowledge(
            **{each.name: getattr(self, each.name) + getattr(other, each.name) for each in fields(self)}
        )

    @property
    def mean_entropy(self) -> float:
        """Mean entropy of the pixels whose predicted class is the label, in nats; 0 without such pixels."""
        return self.entropy / max(self.right, 1)
