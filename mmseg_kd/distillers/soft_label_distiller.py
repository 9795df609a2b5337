"""The distiller whose teacher has answered before, into files."""

from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from torch import Tensor

from .distiller import Distiller
from .taps import LOGITS, PathError

LEAST_SHARE = 2.0**-24  # half precision knows none between this and 0


@MODELS.register_module()
class SoftLabelDistiller(Distiller):
    r"""A :class:`Distiller` whose teacher is read from soft labels: no network answers while the student learns.

    What a term reads as the teacher's ``logits`` is the logarithm of the stored probabilities, which any loss between
    logits can be given: softened by a temperature, they are what the labeler's own logits would be. What was left for
    the classes that are not stored is spread evenly among them,

    .. math:: z_c = \log q_c \;\text{for the K stored classes}, \qquad z_c = \log \frac{1 - \sum_k q_k}{C - K}
        \;\text{for the others}

    and no probability is less than :math:`2^{-24}`. Terms count where there is a label, and nowhere else: every loss is
    put into :class:`~mmseg_kd.masks.OnLabeled`.

    The data samples are those of :class:`~mmseg_kd.datasets.PackSoftSegInputs`.

    Args:
        student: as of :class:`Distiller`.
        terms: as there; ``teacher='logits'`` in all of them.
        data_preprocessor: as there.
        init_cfg: as there.

    Raises:
        ValueError: as there; if a term reads anything else of the teacher; or, in the first step, if data samples have
            no soft labels.

    Paper: Zhao et al., "Multistage Collaborative Knowledge Distillation" (arXiv 2311.08640), taken to segmentation,
    where a divergence with a low weight and a high temperature stood beside hard labels.

    Example:
        >>> model = dict(
        ...     type='SoftLabelDistiller',
        ...     student=_base_.model,
        ...     terms=dict(
        ...         loss_kl=dict(
        ...             student='logits', teacher='logits', loss=dict(type='PixelWiseKDLoss', temperature=8.0),
        weight=0.1)))
    """

    def __init__(
        self, student: dict, terms: dict[str, dict], data_preprocessor: dict | None = None, init_cfg: dict | None = None
    ) -> None:
        labeled = {
            name: dict(term, loss=dict(type='OnLabeled', loss=term['loss'])) if 'loss' in term else term
            for name, term in terms.items()
        }
        # Of the student's own shape, which is all that is asked of a teacher before it answers.
        super().__init__(student, dict(model=student), labeled, data_preprocessor, init_cfg)
        self.teachers = {}
        for term in self.all_terms.values():
            for path in term.teacher_paths:
                if path != LOGITS:
                    raise PathError(f'{term.key}.teacher: soft labels answer with "logits" only, but "{path}" is read')

    def _answers(self, inputs: Tensor, data_samples: list[Any], paths: Iterable[str]) -> dict[str, Any]:
        if not list(paths):
            return {}
        if not all('soft_labels' in sample for sample in data_samples):
            raise ValueError(
                'a SoftLabelDistiller learns from soft labels, but the data samples have none; load them with '
                "dict(type='LoadSoftLabels') and pack them with dict(type='PackSoftSegInputs') in the pipeline of "
                'train_dataloader.dataset'
            )
        return {
            LOGITS: torch.stack([_padded(sample.soft_labels, inputs, self.label_classes) for sample in data_samples])
        }


def _padded(labels: PixelData, inputs: Tensor, num_classes: int) -> Tensor:
    """On the right and below, as the preprocessor pads images; nothing is labeled there."""
    stride, logits = labels.stride, soft_logits(labels, num_classes)
    height, width = (len(range(stride // 2, side, stride)) for side in inputs.shape[2:])
    return F.pad(logits[None], (0, width - logits.shape[2], 0, height - logits.shape[1]), mode='replicate')[0]


def soft_logits(labels: PixelData, num_classes: int) -> Tensor:
    """Logarithm (C, h, w) of the probabilities of all classes.

    Args:
        labels: ``classes`` (K, h, w) and ``shares`` (K + 1, h, w), the last for all other classes together.
        num_classes: C.
    """
    classes, shares = labels.classes.long(), labels.shares.float()
    if len(classes) == 1:
        # A true label that is ignored may be of no class; nothing counts there.
        classes = classes.clamp(max=num_classes - 1)
    others = shares[-1:] / max(1, num_classes - len(classes))
    return others.repeat(num_classes, 1, 1).scatter_(0, classes, shares[:-1]).clamp_min_(LEAST_SHARE).log_()
