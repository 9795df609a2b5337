from ..io.checkpoint import CheckpointError
from .cached_teacher import CachedTeacher
from .cross_pseudo_supervision import CrossPseudoSupervision
from .cutmix import CutMix
from .distiller import Distiller
from .gradient_share import GradientShare
from .labeling_distiller import LabelingDistiller
from .mean_teacher import MeanTeacher
from .schedules import CosineDecayWeight, CutoffWeight, DelayedWeight, PhaseWeight, WarmupWeight
from .semi_supervised_distiller import SemiSupervisedDistiller
from .soft_label_distiller import SoftLabelDistiller
from .taps import PathError, Taps
from .teacher import EnsembleTeacher, FrozenTeacher
from .term import Term

__all__ = [
    'CachedTeacher',
    'CheckpointError',
    'CosineDecayWeight',
    'CrossPseudoSupervision',
    'CutMix',
    'CutoffWeight',
    'DelayedWeight',
    'Distiller',
    'EnsembleTeacher',
    'FrozenTeacher',
    'GradientShare',
    'LabelingDistiller',
    'MeanTeacher',
    'PathError',
    'PhaseWeight',
    'SemiSupervisedDistiller',
    'SoftLabelDistiller',
    'Taps',
    'Term',
    'WarmupWeight',
]
