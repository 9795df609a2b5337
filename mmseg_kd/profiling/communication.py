"""A model of what the processes of a training step send each other."""

from dataclasses import dataclass
from typing import Any

from torch import nn

from ..distillers import Distiller
from ..losses import CIRKDChannelLoss, CIRKDMemoryLoss, DistillLoss
from ..losses.class_statistics import ClassStatistics
from ..losses.memory_queue import MemoryQueue

GRADIENTS, BATCH_NORM, DENOMINATORS = 'gradients', 'SyncBN', 'denominators of terms'
FLOAT, LONG = 4, 8  # bytes


@dataclass
class Traffic:
    """Bytes that a process gives to the collective operations of one step.

    Args:
        name: what is sent: one of the constants of this module, or the name of a term.
        reduced: bytes that are summed over the processes (``all_reduce``).
        gathered: bytes that every process receives from each other one (``all_gather``).

    Example:
        >>> Traffic('gradients', reduced=80).sent(processes=8)  # the sum and its return, in 8 parts
        140.0
        >>> Traffic('loss_memory', gathered=80).sent(processes=8)
        560.0
    """

    name: str
    reduced: int = 0
    gathered: int = 0

    def sent(self, processes: int) -> float:
        """Bytes that a process sends in a step, with the ring algorithms of NCCL."""
        return self.reduced * 2 * (processes - 1) / processes + self.gathered * (processes - 1)


def step_traffic(model: nn.Module, images: int, processes: int) -> list[Traffic]:
    """What one process gives to the collective operations of one step with DDP.

    Args:
        model: Segmentor or distiller, without the wrapper of DDP.
        images: Number of images per process.
        processes: Number of processes.

    Example:
        >>> from mmengine.registry import init_default_scope
        >>> from mmseg.registry import MODELS
        >>> from mmseg_kd.profiling.communication import step_traffic
        >>> from mmseg_kd.testing.toys import toy_segmentor
        >>> init_default_scope('mmseg')  # a Runner does this
        >>> (gradients,) = step_traffic(MODELS.build(toy_segmentor(4)), images=2, processes=8)
        >>> gradients.reduced == 4 * sum(p.numel() for p in MODELS.build(toy_segmentor(4)).parameters())
        True
    """
    learned = sum(p.numel() * p.element_size() for p in model.parameters() if p.requires_grad)
    parts = [Traffic(GRADIENTS, reduced=learned)]
    channels = [module.num_features for module in model.modules() if isinstance(module, nn.SyncBatchNorm)]
    if channels:
        # Forward: mean, inverse deviation and number of pixels are gathered. Backward: two sums.
        parts.append(
            Traffic(
                BATCH_NORM,
                reduced=FLOAT * 2 * sum(channels),
                gathered=FLOAT * sum(2 * number + 1 for number in channels),
            )
        )
    if isinstance(model, Distiller):
        parts.append(Traffic(DENOMINATORS, reduced=FLOAT * len(model.all_terms)))
        for name, term in model.all_terms.items():
            traffic = Traffic(name, _statistics(term.loss), _queues(term.loss, images, processes))
            if traffic.reduced or traffic.gathered:
                parts.append(traffic)
    return parts


def _queues(loss: DistillLoss, images: int, processes: int) -> int:
    """Bytes of the vectors that a process adds to queues, and of their classes."""
    part: Any = loss
    if isinstance(loss, CIRKDMemoryLoss):
        rows = images * part.classes * (1 + part.pixels_per_class)
    elif isinstance(loss, CIRKDChannelLoss):
        rows = -(-part.pushed // processes)
    else:
        return 0
    (channels,) = {queue.rows.shape[1] for queue in loss.modules() if isinstance(queue, MemoryQueue)}
    return rows * (FLOAT * channels + LONG)


def _statistics(loss: DistillLoss) -> int:
    """Bytes of the sums per class."""
    means = [part.mean for part in loss.modules() if isinstance(part, ClassStatistics)]
    return sum(FLOAT * (mean.shape[0] + 1) * (1 + 2 * mean.shape[1]) for mean in means)
