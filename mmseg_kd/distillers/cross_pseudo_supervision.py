"""The segmentor of two students that teach each other."""

import copy
from typing import Any, NamedTuple

import torch
from mmseg.registry import MODELS
from torch import Tensor

from .inference import forward_inference
from .ranks import TermDenominators
from .semi_supervised_distiller import Mixture, SemiSupervisedDistiller
from .taps import Taps
from .teacher import OnlineTeacher
from .term import student_paths, wanted_paths

PEER = 'peer.'


@MODELS.register_module()
class CrossPseudoSupervision(SemiSupervisedDistiller):
    r"""A :class:`SemiSupervisedDistiller` of two networks with one architecture, each the teacher of the other.

    .. math:: L = \sum_{a \ne b} \Big( L_a(x_l) + \sum_k w_k L_k(a, b; x_l) + \sum_j w_j L_j(a, b; x_u) \Big)

    with :math:`L_a` the own losses of network a, ``terms`` k on labeled and ``unlabeled_terms`` j on unlabeled images.
    Every term counts twice: each network is once the student and once the single, unnamed teacher, which gets no
    gradient from the term. The two differ by their random initialization. The first network, ``student``, is tested and
    exported; in the log, the losses of the second begin with ``peer.``.

    Each network runs once on the labeled and once on the unlabeled images, for both roles. Where terms read
    ``unmixed.`` paths, it also runs once on each of the images before they are mixed: in train mode, as published,
    without gradient.

    Args:
        student: The config of the segmentor; both networks are built from it.
        terms: The terms on labeled images, as for :class:`SemiSupervisedDistiller`; a term with parameters or a memory
            serves both directions.
        unlabeled_terms: The terms on unlabeled images.
        mix: The config of a :class:`CutMix`, which needs two unlabeled branches.
        data_preprocessor: The data preprocessor for a student that has none.
        init_cfg: The config of the initialization, as in any MMEngine module.

    Raises:
        ValueError: in the cases of :class:`SemiSupervisedDistiller`.

    Example:
        >>> from mmengine.registry import init_default_scope
        >>> from mmseg_kd.distillers import CrossPseudoSupervision
        >>> from mmseg_kd.testing.toys import toy_branch_batch, toy_segmentor
        >>> init_default_scope('mmseg')  # a Runner does this
        >>> term = dict(student='logits', teacher='logits', loss=dict(type='PseudoLabelLoss'), weight=1.5)
        >>> model = CrossPseudoSupervision(toy_segmentor(auxiliary=False), unlabeled_terms=dict(loss_cps=term))
        >>> batch = model.data_preprocessor(toy_branch_batch(), training=True)
        >>> sorted(model.loss(**batch))
        ['decode.acc_seg', 'decode.loss_ce', 'loss_cps', 'peer.decode.acc_seg', 'peer.decode.loss_ce', 'peer.loss_cps']

    Paper: Chen et al., "Semi-Supervised Semantic Segmentation with Cross Pseudo Supervision" (CVPR 2021, arXiv
    2106.01226): :class:`~mmseg_kd.losses.PseudoLabelLoss` between ``logits``, on labeled and unlabeled images with
    weight 1.5 (VOC) or 6 (Cityscapes); or with CutMix between ``logits`` and ``unmixed.logits``, on unlabeled images
    alone, with weight 1 or 5. Deviations: those of :class:`SemiSupervisedDistiller` (except for the modes) and of the
    loss; and without CutMix, labeled and unlabeled images have a mean each, where the code takes one mean over both.
    """

    teachers_train = True
    term_prefixes = ('', PEER)
    learners = property(lambda self: [self.student, self.peer])

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
        self.teachers = {'': OnlineTeacher(self.peer)}

    def _losses(self, inputs: Any, data_samples: Any, denominators: TermDenominators) -> dict[str, Tensor]:
        self._check_branches(inputs)
        labels = self._labels(data_samples['labeled'])
        mixture = self._mixture(inputs['unlabeled'], data_samples['unlabeled']) if self.unlabeled_terms else None
        own, peer = (
            self._run(network, inputs['labeled'], data_samples['labeled'], mixture)
            for network in (self.student, self.peer)
        )
        losses = {**own.losses, **{PEER + name: value for name, value in peer.losses.items()}}
        for a, b, prefix in ((own, peer, ''), (peer, own, PEER)):
            self._add_terms(losses, denominators, self.terms, a.labeled, b.labeled, labels, prefix)
            unlabeled = a.unlabeled, b.unlabeled, mixture and mixture.labels
            self._add_terms(losses, denominators, self.unlabeled_terms, *unlabeled, prefix)
        return losses

    def _run(
        self, network: torch.nn.Module, inputs: Tensor, data_samples: list[Any], mixture: Mixture | None
    ) -> '_Said':
        """One network's step, as student and as teacher."""
        paths = student_paths(self.terms.values()) + wanted_paths(self.terms.values())
        with Taps(network, paths, inputs) as labeled:
            losses = network(inputs, data_samples, mode='loss')
        unlabeled = {}
        if mixture is not None:
            direct, unmixed = self._by_mixing(wanted_paths(self.unlabeled_terms.values()))
            unlabeled = self._read_unmixed(mixture, unmixed, OnlineTeacher(network).read)
            paths = student_paths(self.unlabeled_terms.values()) + direct
            unlabeled.update(forward_inference(network, mixture.images, paths))
        return _Said(losses, labeled, unlabeled)


class _Said(NamedTuple):
    """The losses of a network, and its values for labeled and unlabeled images, by path."""

    losses: dict[str, Tensor]
    labeled: dict[str, Any]
    unlabeled: dict[str, Any]
