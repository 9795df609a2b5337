"""The segmentor that also learns from images without labels."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from mmseg.registry import MODELS
from torch import Tensor, nn

from ..constants import IGNORE_INDEX
from ..io.arguments import build
from ..io.configs import named_types
from ..io.errors import ConfigError
from ..losses.ops import sample_labels
from .cached_teacher import CachedTeacher, PartlyCachedTeacher
from .distiller import Distiller
from .inference import forward_inference
from .ranks import TermDenominators
from .taps import PathError
from .teacher import Spec, build_teachers
from .term import Term, student_paths, teacher_paths, wanted_paths

UNMIXED = 'unmixed.'
Read = Callable[..., dict[str, Any]]


class Mixture(NamedTuple):
    """Unlabeled images as the student sees them.

    Args:
        images: The preprocessed images (N, 3, H, W).
        sources: The two batches that were mixed; empty if nothing was mixed.
        samples: The data samples of the images, or of the two batches that were mixed.
        mask: The mask (N, 1, H, W), True where the second source is seen.
        labels: A map (N, H, W), 255 in the padding and 0 elsewhere; None if no term needs it.
    """

    images: Tensor
    sources: tuple[Tensor, ...]
    samples: list[list[Any]]
    mask: Any
    labels: Tensor | None


@MODELS.register_module(name=['SemiSupervisedDistiller', 'MultiGranularityDistiller'])
class SemiSupervisedDistiller(Distiller):
    r"""A :class:`Distiller` that also compares student and teachers on images without labels.

    .. math:: L = L_{student}(x_l) + \sum_k w_k L_k(x_l) + \sum_j w_j L_j(x_u)

    with the student's own losses and ``terms`` on the labeled images :math:`x_l`, and ``unlabeled_terms`` on the
    unlabeled ones :math:`x_u`: the first branch of the data set or, with ``mix``, the mixture of two branches. The
    student runs once on each of :math:`x_l` and :math:`x_u`, as separate batches; a teacher runs once on every batch
    that terms read.

    In ``unlabeled_terms``, a teacher's path such as ``deep.logits`` is its output for the mixture. The path
    ``deep.unmixed.logits`` is its outputs for the two images, mixed afterwards by the same mask. Losses with labels get
    255 in the padding, mixed by the same mask, and 0 elsewhere, even if the data set has labels for these images.

    A teacher's ``cache`` answers for images that the data set gives: the labeled ones, ``unmixed`` paths and, without
    ``mix``, all. Outputs for mixtures come from the teacher's network, which then needs its config and checkpoint
    beside ``cache``.

    The data set is a :class:`~mmseg_kd.datasets.SemiSupervisedDataset`. For training, the student's
    ``SegDataPreProcessor`` becomes a :class:`~mmseg_kd.models.BranchPreprocessor`; the student's own config does not
    change.

    Args:
        student: The config of the segmentor to train, as for :class:`Distiller`.
        teacher: The arguments of the teacher or teachers, as for :class:`Distiller`.
        terms: The terms on labeled images; may be left out.
        unlabeled_terms: The terms on unlabeled images; without any, unlabeled images are not used.
        mix: The config of a :class:`CutMix`, which needs two unlabeled branches.
        data_preprocessor: The data preprocessor for a student or an inline teacher that has none.
        init_cfg: The config of the initialization, as in any MMEngine module.

    Raises:
        ValueError: in one line that names the key, in the cases of :class:`Distiller`, if two terms have one name, or
            if a teacher has only a cache, but is asked for mixtures.

    Example:
        >>> from mmengine.registry import init_default_scope
        >>> from mmseg_kd.distillers import SemiSupervisedDistiller
        >>> from mmseg_kd.testing.toys import toy_branch_batch, toy_segmentor
        >>> init_default_scope('mmseg')  # a Runner does this
        >>> network = toy_segmentor(auxiliary=False)
        >>> term = dict(student='logits', teacher='unmixed.logits', loss=dict(type='PseudoLabelLoss'))
        >>> model = SemiSupervisedDistiller(
        ...     network, dict(model=network), unlabeled_terms=dict(loss_pl=term), mix=dict(type='CutMix'))
        >>> sorted(model.loss(**model.data_preprocessor(toy_branch_batch(), training=True)))
        ['decode.acc_seg', 'decode.loss_ce', 'loss_pl']

    Paper: Qin et al., "Multi-Granularity Distillation Scheme Towards Lightweight Semi-Supervised Semantic Segmentation"
    (ECCV 2022, arXiv 2208.10169), with two teachers, CutMix, :class:`~mmseg_kd.losses.PseudoLabelLoss`,
    :class:`~mmseg_kd.losses.ImageSemanticLoss` and :class:`~mmseg_kd.losses.RegionContentLoss`. Deviations from its
    code: teachers are in eval mode, where the code uses and updates the statistics of the batch; the student does not
    run on the images before they are mixed, which in the code only updates its BatchNorm statistics; teacher outputs
    are mixed on their own grid, where the code first resizes them to the image; and padding is left out of all losses
    with labels, where the code counts it.
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
        for name in set(terms) & set(unlabeled_terms):
            raise ValueError(f'model.unlabeled_terms.{name}: model.terms has that name too; rename one of them')
        groups = dict(terms=terms, unlabeled_terms=unlabeled_terms)
        self._mixes = mix is not None
        self._assemble(student, teacher, groups, data_preprocessor, init_cfg)
        preprocessor = student.get('data_preprocessor') or data_preprocessor or {}
        if named_types(preprocessor).get('type') == 'SegDataPreProcessor':
            self.data_preprocessor = MODELS.build(dict(preprocessor, type='BranchPreprocessor'))
        self.mix: Any = None if mix is None else build(MODELS, mix, 'model.mix')
        for term in self.all_terms.values():
            mixed = self.mix is not None and term.name in unlabeled_terms
            for path in term.teacher_paths:
                if path != self._network_path(path) and not mixed:
                    raise PathError(
                        f'{term.key}.teacher: "{path}" needs mixed images, which exist only in '
                        'model.unlabeled_terms and with model.mix; remove "unmixed."'
                    )

    def _add_networks(self, data_preprocessor: dict | None) -> None:
        if not self._mixes:
            return
        stored = self._split(self.stored_paths)
        for name in self._split(self._by_mixing(teacher_paths(self.unlabeled_terms.values()))[0]):
            cached = self.teachers[name]
            if not isinstance(cached, CachedTeacher):
                continue
            term, path = next(
                (term, path)
                for term in self.unlabeled_terms.values()
                for path in term.teacher_paths
                if path == self._network_path(path) and name in self._split([path])
            )
            start = f'{term.key}.teacher: "{path}" is read on mixtures of two images, which no cache holds; '
            unmixed = f'{name}.{UNMIXED}'.lstrip('.') + path.removeprefix(name).lstrip('.')
            if not cached.live:
                raise ConfigError(
                    f'{start}write "{unmixed}" to mix stored outputs, or give config and checkpoint beside '
                    f'{cached.cache_key}'
                )
            if name not in stored:
                raise ConfigError(f'{start}no other path of {cached.key} is read, so remove its cache')
            network = build_teachers({name: cached.live} if name else cached.live, data_preprocessor)[name]
            self.teachers[name] = PartlyCachedTeacher(cached, network, stored[name])

    def _check_original_pixels(self, network: nn.Module) -> None:
        raise ConfigError(
            f"model.teacher.pixels must not be 'original' in a {type(self).__name__}, whose pairs of images are mixed "
            'after the pipeline; remove it, or enlarge the images with scale'
        )

    @property
    def all_terms(self) -> dict[str, Term]:
        """Every term, by its name."""
        return {**self.terms, **self.unlabeled_terms}

    @torch.compiler.disable(recursive=False)
    def loss(self, inputs: dict[str, Any], data_samples: dict[str, Any]) -> dict[str, Tensor]:
        """The student's own losses and the weighted terms, by name.

        Args:
            inputs: A dict of the ``labeled`` images (N, 3, H, W), and the ``unlabeled`` ones, one such batch per
                branch.
            data_samples: A dict of ``labeled``, one ``SegDataSample`` per image with its label map, and ``unlabeled``,
                one list of them per branch, with a label map where terms need the padding.

        Raises:
            ValueError: if the batch lacks these branches, and in the cases of :meth:`Distiller.loss`.
        """
        return super().loss(inputs, data_samples)

    def _losses(self, inputs: Any, data_samples: Any, denominators: TermDenominators) -> dict[str, Tensor]:
        self._check_branches(inputs)
        losses = super()._losses(inputs['labeled'], data_samples['labeled'], denominators)
        if self.unlabeled_terms:
            mixture = self._mixture(inputs['unlabeled'], data_samples['unlabeled'])
            direct, unmixed = self._by_mixing(wanted_paths(self.unlabeled_terms.values()))
            outputs = self._read_teachers(mixture.images, direct, None if self._mixes else mixture.samples[0])
            outputs.update(self._read_unmixed(mixture, unmixed, self._read_teachers))
            values = forward_inference(self.student, mixture.images, student_paths(self.unlabeled_terms.values()))
            self._add_terms(losses, denominators, self.unlabeled_terms, values, outputs, mixture.labels)
        return losses

    @property
    def stored_paths(self) -> list[str]:
        """See :attr:`Distiller.stored_paths`; not those that are read on mixtures of images."""
        direct, unmixed = self._by_mixing(teacher_paths(self.unlabeled_terms.values()))
        paths = [*teacher_paths(self.terms.values()), *unmixed, *([] if self._mixes else direct)]
        return list(dict.fromkeys(map(self._network_path, paths)))

    @staticmethod
    def _network_path(path: str) -> str:
        return path.replace(UNMIXED, '', 1)

    def _by_mixing(self, paths: list[str]) -> tuple[list[str], list[str]]:
        """Paths that are read on the mixture, and paths that are read on its sources."""
        return (
            [path for path in paths if path == self._network_path(path)],
            [path for path in paths if path != self._network_path(path)],
        )

    def _read_unmixed(self, mixture: Mixture, paths: list[str], read: Read) -> dict[str, Any]:
        """Teacher outputs for the sources of the mixture, mixed by its mask."""
        if not paths:
            return {}
        own = [self._network_path(path) for path in paths]
        first, second = (
            read(images, own, data_samples=samples) for images, samples in zip(mixture.sources, mixture.samples)
        )
        outputs = {}
        for path, name in zip(paths, own):
            mask = sample_labels(mixture.mask[:, 0], first[name].shape[2:])[:, None]
            outputs[path] = self.mix.mix(first[name], second[name], mask)
        return outputs

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
            return Mixture(branches[0], (), data_samples, None, labels and labels[0])
        first, second = branches[:2]
        mask = self.mix.sample(len(first), first.shape[2:], first.device)
        return Mixture(
            self.mix.mix(first, second, mask),
            (first, second),
            data_samples,
            mask,
            labels and self.mix.mix(labels[0], labels[1], mask),
        )

    def _check_branches(self, inputs: Any) -> None:
        if not isinstance(inputs, dict):
            raise ValueError(
                f'{type(self).__name__} needs batches of labeled and unlabeled images, but this one has '
                "labeled images only; set train_dataloader.dataset to a dict(type='SemiSupervisedDataset')"
            )


def _padding(data_samples: list[Any]) -> Tensor:
    """Labels (N, H, W) with 255 in the padding and 0 elsewhere."""
    if not all('gt_sem_seg' in sample for sample in data_samples):
        raise ValueError(
            'unlabeled images need a blank label map, which marks their padding; put '
            "dict(type='LoadBlankAnnotations') after LoadImageFromFile in unlabeled_pipelines"
        )
    maps = torch.stack([sample.gt_sem_seg.data[0] for sample in data_samples])
    return torch.where(maps == IGNORE_INDEX, IGNORE_INDEX, 0)
