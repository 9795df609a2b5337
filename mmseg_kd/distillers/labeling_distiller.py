"""The distiller whose teacher also labels images."""

from collections.abc import Iterable
from typing import Any

import torch
from mmseg.registry import MODELS
from torch import Tensor

from ..adapters import align
from ..constants import UNKNOWN_INDEX
from ..io.errors import ConfigError
from .distiller import Distiller
from .labels import fill_unknown, ignored_label
from .taps import LOGITS
from .teacher import Spec


@MODELS.register_module()
class LabelingDistiller(Distiller):
    r"""A :class:`Distiller` whose teacher also labels the images that have no labels.

    Where the label of a pixel is 254 (:class:`~mmseg_kd.datasets.LoadUnknownAnnotations`), the student's own losses and
    the terms get the teacher's most probable class instead,

    .. math:: y_p = \arg\max_c z^t_{pc}

    with the teacher's logits :math:`z^t` resized to the label map. Pixels with a label keep it, and padding stays
    ignored. Edges between unknown labels (``gt_edge_map``) are ignored, too. So all of the student's losses learn from
    unlabeled images, with their class weights and their auxiliary heads; and the terms, what a class does not tell.

    Args:
        student: The config of the segmentor to train, as for :class:`Distiller`.
        teacher: The teacher, an ensemble, or several by name, as for :class:`Distiller`.
        terms: The terms, as for :class:`Distiller`.
        labels_from: The path of the logits that label; of several teachers by name, such as ``'deep.logits'``.
        data_preprocessor: The data preprocessor for a student or teacher that has none.
        init_cfg: The config of the initialization, as in any MMEngine module.

    Raises:
        ValueError: in the cases of :class:`Distiller`; if the teacher does not know all classes of the student; or if
            254 is one of its classes, or the label that it ignores.

    Example:
        >>> from mmengine.registry import init_default_scope
        >>> from mmseg_kd.distillers import LabelingDistiller
        >>> from mmseg_kd.testing.toys import toy_batch, toy_segmentor
        >>> init_default_scope('mmseg')  # a Runner does this
        >>> term = dict(student='logits', teacher='logits', loss=dict(type='CWDLoss', temperature=4.0), weight=3.0)
        >>> model = LabelingDistiller(toy_segmentor(), dict(model=toy_segmentor()), terms=dict(loss_cwd=term))
        >>> batch = toy_batch()
        >>> batch['data_samples'][1].gt_sem_seg.data[:] = 254  # the second image has no labels
        >>> losses = model.loss(**model.data_preprocessor(batch, training=True))
        >>> sorted(losses)
        ['aux.acc_seg', 'aux.loss_ce', 'decode.acc_seg', 'decode.loss_ce', 'loss_cwd']

    Paper: the teacher's most probable class as label, with every pixel counted, is Lee, "Pseudo-Label" (ICML 2013
    workshop). The terms beside it are ours.
    """

    def __init__(
        self,
        student: dict,
        teacher: Spec | dict[str, Spec],
        terms: dict[str, dict],
        labels_from: str = LOGITS,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        self._label_path = labels_from
        super().__init__(student, teacher, terms, data_preprocessor, init_cfg)
        if UNKNOWN_INDEX in (*range(self.label_classes), ignored_label(self.student)):
            raise ConfigError(
                f'model: {UNKNOWN_INDEX} marks pixels without labels for a LabelingDistiller, so it must be neither a '
                f'class of model.student ({self.label_classes} classes) nor its ignore_index '
                f'({ignored_label(self.student)}); use a Distiller'
            )

    @property
    def other_paths(self) -> dict[str, str]:
        """The paths that are read in the teachers beside those of the terms, by their key in the config."""
        return {'model.labels_from': self._label_path}

    def _teacher_outputs(self, inputs: Tensor, data_samples: list[Any], paths: Iterable[str]) -> dict[str, Any]:
        return super()._teacher_outputs(inputs, data_samples, dict.fromkeys([*paths, self._label_path]))

    def _with_labels(self, data_samples: list[Any], outputs: dict[str, Any]) -> list[Any]:
        for stream in self._side_streams:
            stream.join()
        return [_labeled(sample, logits) for sample, logits in zip(data_samples, outputs[self._label_path])]

    def _check_teachers(self, outputs: dict[str, Tensor], known: dict[str, list[int]]) -> None:
        classes = len(known.get(self._label_path, outputs[self._label_path][0]))
        if classes != self.label_classes:
            raise ConfigError(
                f'model.labels_from: a teacher that labels must know all {self.label_classes} classes of the student, '
                f'but {self._label_path} has {classes}; take another teacher, or a Distiller'
            )


@torch.no_grad()
def _labeled(sample: Any, logits: Tensor) -> Any:
    """A copy of a data sample with the most probable class of logits (C, h, w) where its label is unknown."""
    return fill_unknown(sample, align(logits[None].float(), sample.gt_sem_seg.data[None]).argmax(1))
