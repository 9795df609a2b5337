"""The distiller whose teacher outputs are read from files."""

from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from torch import Tensor

from ..io.errors import ConfigError
from .distiller import Distiller, check_terms
from .taps import LOGITS, PathError

LEAST_SHARE = 2.0**-24  # the smallest positive number of half precision


@MODELS.register_module()
class SoftLabelDistiller(Distiller):
    r"""A :class:`Distiller` whose teacher outputs are soft labels from files: no teacher runs while the student learns.

    The ``logits`` of the teacher are the logarithm of the stored probabilities, which every loss between logits
    accepts: at any temperature, they soften like the labeler's own logits. The remaining probability is shared evenly
    by the classes that are not stored,

    .. math:: z_c = \log q_c \;\text{for the K stored classes}, \qquad z_c = \log \frac{1 - \sum_k q_k}{C - K}
        \;\text{for the others}

    and no probability is less than :math:`2^{-24}`. Only pixels with a label count: every loss is wrapped in
    :class:`~mmseg_kd.masks.OnLabeled`.

    The data samples are those of :class:`~mmseg_kd.datasets.PackSoftSegInputs`.

    Args:
        student: The config of the segmentor to train, as for :class:`Distiller`.
        terms: The terms, as for :class:`Distiller`, with ``teacher='logits'`` in all of them.
        data_preprocessor: The data preprocessor for a student that has none.
        init_cfg: The config of the initialization, as in any MMEngine module.

    Raises:
        ValueError: in the cases of :class:`Distiller`; if a term reads anything else of the teacher; or, in the first
            step, if data samples have no soft labels.

    Example:
        >>> from mmengine.registry import init_default_scope
        >>> from mmseg_kd.distillers import SoftLabelDistiller
        >>> from mmseg_kd.testing.toys import toy_segmentor
        >>> init_default_scope('mmseg')  # a Runner does this
        >>> loss = dict(type='PixelWiseKDLoss', temperature=8.0)
        >>> term = dict(student='logits', teacher='logits', loss=loss, weight=0.1)
        >>> model = SoftLabelDistiller(toy_segmentor(), terms=dict(loss_kl=term))
        >>> type(model.terms['loss_kl'].loss).__name__, model.teachers
        ('OnLabeled', {})

    Paper: Zhao et al., "Multistage Collaborative Knowledge Distillation" (arXiv 2311.08640), taken to segmentation,
    with a divergence of low weight and high temperature beside hard labels.
    """

    def __init__(
        self, student: dict, terms: dict[str, dict], data_preprocessor: dict | None = None, init_cfg: dict | None = None
    ) -> None:
        check_terms(dict(terms=terms))
        labeled = {name: dict(term, loss=dict(type='OnLabeled', loss=term['loss'])) for name, term in terms.items()}
        # The dry run needs a teacher of the right shapes; the student's own config serves.
        try:
            super().__init__(student, dict(model=student), labeled, data_preprocessor, init_cfg)
        except ConfigError as error:
            raise ConfigError(str(error).replace('.loss.loss', '.loss')) from None
        self.teachers = {}
        for term in self.all_terms.values():
            for path in term.teacher_paths:
                if path != LOGITS:
                    raise PathError(f'{term.key}.teacher: soft labels hold "logits" only, but "{path}" is read')

    def _teacher_outputs(self, inputs: Tensor, data_samples: list[Any], paths: Iterable[str]) -> dict[str, Any]:
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
    """Logits padded on the right and below, as the preprocessor pads images; there are no labels there."""
    stride, logits = labels.stride, soft_logits(labels, num_classes)
    height, width = (len(range(stride // 2, side, stride)) for side in inputs.shape[2:])
    return F.pad(logits[None], (0, width - logits.shape[2], 0, height - logits.shape[1]), mode='replicate')[0]


def soft_logits(labels: PixelData, num_classes: int) -> Tensor:
    """Logarithm (C, h, w) of the probabilities of all classes.

    Args:
        labels: The soft labels, with ``classes`` (K, h, w) and ``shares`` (K + 1, h, w), the last for all other classes
            together.
        num_classes: The number of classes C.
    """
    classes, shares = labels.classes.long(), labels.shares.float()
    if len(classes) == 1:
        # An ignored true label may lie outside the classes; its pixel does not count.
        classes = classes.clamp(max=num_classes - 1)
    others = shares[-1:] / max(1, num_classes - len(classes))
    return others.repeat(num_classes, 1, 1).scatter_(0, classes, shares[:-1]).clamp_min_(LEAST_SHARE).log_()
