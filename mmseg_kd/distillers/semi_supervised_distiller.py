"""The segmentor that also learns from images without labels."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from mmseg.registry import MODELS
from torch import Tensor

from ..constants import IGNORE_INDEX
from ..io.configs import named_types
from ..losses.ops import sample_labels
from .distiller import Distiller
from .inference import forward_inference
from .taps import PathError
from .teacher import Spec
from .term import Term, student_paths, wanted_paths

UNMIXED = 'unmixed.'
Read = Callable[[Tensor, list[str]], dict[str, Any]]


class Mixture(NamedTuple):
    """Unlabeled images as the student sees them.

    Args:
        images: preprocessed, (N, 3, H, W).
        sources: the two batches that they were mixed of; none where they were not mixed.
        mask: (N, 1, H, W), True where the second source is seen.
        labels: (N, H, W), 255 in the padding and 0 elsewhere; None if no term needs them.
    """

    images: Tensor
    sources: tuple[Tensor, ...]
    mask: Any
    labels: Tensor | None


@MODELS.register_module(name=['SemiSupervisedDistiller', 'MultiGranularityDistiller'])
class SemiSupervisedDistiller(Distiller):
    r"""A :class:`Distiller` that also compares student and teachers on images without labels.

    .. math:: L = L_{student}(x_l) + \sum_k w_k L_k(x_l) + \sum_j w_j L_j(x_u)

    with the student's own losses and ``terms`` on the labeled images :math:`x_l`, and ``unlabeled_terms`` on the
    unlabeled ones: the first branch of the data set as it is or, with ``mix``, the mixture of two branches. The
    student runs once on each of :math:`x_l` and :math:`x_u`, a batch by itself; a teacher once on every batch that
    terms read.

    In ``unlabeled_terms``, a teacher's path such as ``deep.logits`` is what it says to the mixture, and
    ``deep.unmixed.logits`` is what it says to the two images, mixed afterwards by the same mask. Losses with labels are
    given 255 in the padding, mixed likewise, and 0 elsewhere, whatever the data set knows of these images.

    The data set is a :class:`~mmseg_kd.datasets.SemiSupervisedDataset`; the student's ``SegDataPreProcessor`` becomes a
    :class:`~mmseg_kd.models.BranchPreprocessor` for training, while the student's own config stays as it is.

    Args:
        student: as of :class:`Distiller`.
        teacher: as of :class:`Distiller`.
        terms: on labeled images, as of :class:`Distiller`; may be left out.
        unlabeled_terms: likewise on unlabeled ones; without any, unlabeled images are not looked at.
        mix: config of a :class:`CutMix`, which needs two unlabeled branches.
        data_preprocessor: as of :class:`Distiller`.
        init_cfg: as of :class:`Distiller`.

    Raises:
        ValueError: in one line that names the key: as of :class:`Distiller`, or if two terms have one name.

    Paper: Qin et al., "Multi-Granularity Distillation Scheme Towards Lightweight Semi-Supervised Semantic Segmentation"
    (ECCV 2022, arXiv 2208.10169), with two teachers, CutMix, :class:`~mmseg_kd.losses.PseudoLabelLoss`,
    :class:`~mmseg_kd.losses.ImageSemanticLoss` and :class:`~mmseg_kd.losses.RegionContentLoss`. Deviations from its
    code: teachers are in eval mode, there they use and move the statistics of the batch; the student does not run on
    the images before they are mixed, there it does, which only moves its BatchNorm statistics; what teachers say is
    mixed on its own grid, there after resizing to the image; padding counts for no loss with labels, there it counts.
    """

    def __init__(
        self,
        student: dict,
        teacher: Spec | dict[str, Spec],
        terms: dict[str, dict] | None = None,
        unlabeled_terms: dict[str, dict] | None = None,
        mix: dict | None = None,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        terms, unlabeled_terms = terms or {}, unlabeled_terms or {}
        if not terms and not unlabeled_terms:
            raise ValueError(
                f'model.terms and model.unlabeled_terms are empty; a {type(self).__name__} needs at least one '
                'term, or train the student without it'
            )
        for name in terms.keys() & unlabeled_terms.keys():
            raise ValueError(f'model.unlabeled_terms.{name}: model.terms has that name too; rename one of them')
        groups = dict(terms=terms, unlabeled_terms=unlabeled_terms)
        self._assemble(student, teacher, groups, data_preprocessor, init_cfg)
        preprocessor = student.get('data_preprocessor') or data_preprocessor or {}
        if named_types(preprocessor).get('type') == 'SegDataPreProcessor':
            self.data_preprocessor = MODELS.build(dict(preprocessor, type='BranchPreprocessor'))
        self.mix: Any = None if mix is None else MODELS.build(mix)
        for term in self.all_terms.values():
            mixed = self.mix is not None and term.name in unlabeled_terms
            for path in term.teacher_paths:
                if path != self._network_path(path) and not mixed:
                    raise PathError(
                        f'{term.key}.teacher: "{path}" is about images that are mixed, which those of '
                        'model.unlabeled_terms are where model.mix is set; leave "unmixed." out'
                    )

    @property
    def all_terms(self) -> dict[str, Term]:
        """Every term, by its name."""
        return {**self.terms, **self.unlabeled_terms}

    @torch.compiler.disable(recursive=False)
    def loss(self, inputs: dict[str, Any], data_samples: dict[str, Any]) -> dict[str, Tensor]:
        """The student's own losses and the weighted terms, by name.

        Args:
            inputs: ``labeled`` images (N, 3, H, W), and ``unlabeled``, one such batch per branch.
            data_samples: ``labeled``, one ``SegDataSample`` per image with its label map, and ``unlabeled``, lists of
                them per branch, with a label map where terms need to know the padding.

        Raises:
            ValueError: if the batch has no such branches, or as :meth:`Distiller.loss`.
        """
        self._check_branches(inputs)
        losses = super().loss(inputs['labeled'], data_samples['labeled'])
        if self.unlabeled_terms:
            mixture = self._mixture(inputs['unlabeled'], data_samples['unlabeled'])
            direct, unmixed = self._by_mixing(wanted_paths(self.unlabeled_terms.values()))
            answers = self._read_teachers(mixture.images, direct)
            answers.update(self._read_unmixed(mixture, unmixed, self._read_teachers))
            values = forward_inference(self.student, mixture.images, student_paths(self.unlabeled_terms.values()))
            self._add_terms(losses, self.unlabeled_terms, values, answers, mixture.labels)
        return losses

    @staticmethod
    def _network_path(path: str) -> str:
        return path.replace(UNMIXED, '', 1)

    def _by_mixing(self, paths: list[str]) -> tuple[list[str], list[str]]:
        """Paths that are read on the mixture, and those that are read on its sources."""
        return (
            [path for path in paths if path == self._network_path(path)],
            [path for path in paths if path != self._network_path(path)],
        )

    def _read_unmixed(self, mixture: Mixture, paths: list[str], read: Read) -> dict[str, Any]:
        """What ``read`` finds in the sources of the mixture, mixed as they are."""
        if not paths:
            return {}
        own = [self._network_path(path) for path in paths]
        first, second = (read(images, own) for images in mixture.sources)
        answers = {}
        for path, name in zip(paths, own):
            mask = sample_labels(mixture.mask[:, 0], first[name].shape[2:])[:, None]
            answers[path] = self.mix.mix(first[name], second[name], mask)
        return answers

    def _mixture(self, branches: list[Tensor], data_samples: list[list[Any]]) -> Mixture:
        if len(branches) < (1 if self.mix is None else 2):
            raise ValueError(
                f'model.mix needs two unlabeled branches, but the batch has {len(branches)}; give '
                'train_dataloader.dataset two unlabeled_pipelines'
            )
        labels: Any = None
        if any(term.loss.needs_labels for term in self.unlabeled_terms.values()):
            labels = [_padding(samples) for samples in data_samples]
        if self.mix is None:
            return Mixture(branches[0], (), None, labels and labels[0])
        first, second = branches[:2]
        mask = self.mix.sample(len(first), first.shape[2:], first.device)
        return Mixture(
            self.mix.mix(first, second, mask),
            (first, second),
            mask,
            labels and self.mix.mix(labels[0], labels[1], mask),
        )

    def _check_branches(self, inputs: Any) -> None:
        if not isinstance(inputs, dict):
            raise ValueError(
                f'{type(self).__name__} needs batches of labeled and unlabeled images, but this one has '
                "labeled ones alone; set train_dataloader.dataset to a dict(type='SemiSupervisedDataset')"
            )


def _padding(data_samples: list[Any]) -> Tensor:
    """Labels (N, H, W) that are 255 in the padding and 0 elsewhere."""
    if not all('gt_sem_seg' in sample for sample in data_samples):
        raise ValueError(
            'unlabeled images need a blank label map, which tells their padding; put '
            "dict(type='LoadBlankAnnotations') behind LoadImageFromFile in unlabeled_pipelines"
        )
    maps = torch.stack([sample.gt_sem_seg.data[0] for sample in data_samples])
    return torch.where(maps == IGNORE_INDEX, IGNORE_INDEX, 0)
