"""The segmentor of two students that teach each other."""

import copy
from typing import Any, NamedTuple

import torch
from mmseg.registry import MODELS
from torch import Tensor

from .inference import forward_inference
from .semi_supervised_distiller import Mixture, SemiSupervisedDistiller
from .taps import Taps
from .teacher import LiveTeacher
from .term import student_paths, wanted_paths

PEER = 'peer.'


@MODELS.register_module()
class CrossPseudoSupervision(SemiSupervisedDistiller):
    r"""A :class:`SemiSupervisedDistiller` of two networks with one architecture, each the teacher of the other.

    .. math:: L = \sum_{a \ne b} \Big( L_a(x_l) + \sum_k w_k L_k(a, b; x_l) + \sum_j w_j L_j(a, b; x_u) \Big)

    with :math:`L_a` the own losses of network a, ``terms`` k on labeled and ``unlabeled_terms`` j on unlabeled
    images. Every term counts twice, with the networks in turn as student and as the one, unnamed teacher, which gets no
    gradient from it. The two differ by their random initialization. What is tested and exported is the first,
    ``student``; in the log, the losses of the second begin with ``peer.``.

    Each network runs once on the labeled and once on the unlabeled images, for both its parts; and once on each of
    the images before they are mixed where terms read ``unmixed.`` paths: in train mode, as published, without gradient.

    Args:
        student: as of :class:`SemiSupervisedDistiller`; both networks are built from it.
        terms: as there; what has parameters or a memory serves both directions.
        unlabeled_terms: likewise.
        mix: as there.
        data_preprocessor: as there.
        init_cfg: as there.

    Raises:
        ValueError: as there.

    Paper: Chen et al., "Semi-Supervised Semantic Segmentation with Cross Pseudo Supervision" (CVPR 2021,
    arXiv 2106.01226): :class:`~mmseg_kd.losses.PseudoLabelLoss` between ``logits``, on labeled and unlabeled images
    with weight 1.5 (VOC) or 6 (Cityscapes); or with CutMix between ``logits`` and ``unmixed.logits``, on unlabeled
    images alone, with weight 1 or 5. Deviations: those of :class:`SemiSupervisedDistiller` and of the loss, except for
    the modes; and without CutMix, labeled and unlabeled images have a mean each, there they share one.
    """

    teachers_train = True

    def __init__(
        self,
        student: dict,
        terms: dict[str, dict] | None = None,
        unlabeled_terms: dict[str, dict] | None = None,
        mix: dict | None = None,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(student, dict(model=student), terms, unlabeled_terms, mix, data_preprocessor, init_cfg)
        self.peer = MODELS.build(copy.deepcopy(student))
        self.teachers = {'': LiveTeacher(self.peer)}

    @torch.compiler.disable(recursive=False)
    def loss(self, inputs: dict[str, Any], data_samples: dict[str, Any]) -> dict[str, Tensor]:
        """See :meth:`SemiSupervisedDistiller.loss`."""
        self._check_branches(inputs)
        labels = self._labels(data_samples['labeled'])
        mixture = self._mixture(inputs['unlabeled'], data_samples['unlabeled']) if self.unlabeled_terms else None
        own, peer = (
            self._run(network, inputs['labeled'], data_samples['labeled'], mixture)
            for network in (self.student, self.peer)
        )
        losses = {**own.losses, **{PEER + name: value for name, value in peer.losses.items()}}
        for a, b, prefix in ((own, peer, ''), (peer, own, PEER)):
            self._add_terms(losses, self.terms, a.labeled, b.labeled, labels, prefix)
            self._add_terms(losses, self.unlabeled_terms, a.unlabeled, b.unlabeled, mixture and mixture.labels, prefix)
        return losses

    def _run(
        self, network: torch.nn.Module, inputs: Tensor, data_samples: list[Any], mixture: Mixture | None
    ) -> '_Said':
        """All that one network does in a step, as student and as teacher."""
        paths = student_paths(self.terms.values()) + wanted_paths(self.terms.values())
        with Taps(network, paths, inputs) as labeled:
            losses = network(inputs, data_samples, mode='loss')
        unlabeled = {}
        if mixture is not None:
            direct, unmixed = self._by_mixing(wanted_paths(self.unlabeled_terms.values()))
            unlabeled = self._read_unmixed(mixture, unmixed, LiveTeacher(network).read)
            paths = student_paths(self.unlabeled_terms.values()) + direct
            unlabeled.update(forward_inference(network, mixture.images, paths))
        return _Said(losses, labeled, unlabeled)


class _Said(NamedTuple):
    """The losses of a network, and what it holds for labeled and unlabeled images, by path."""

    losses: dict[str, Tensor]
    labeled: dict[str, Any]
    unlabeled: dict[str, Any]
