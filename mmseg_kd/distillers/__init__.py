from .checkpoint import CheckpointError
from .distiller import Distiller
from .schedules import CosineDecayWeight, CutoffWeight, DelayedWeight, WarmupWeight
from .taps import PathError, Taps
from .teacher import EnsembleTeacher, FrozenTeacher
from .term import Term

__all__ = [
    'CheckpointError', 'CosineDecayWeight', 'CutoffWeight', 'DelayedWeight', 'Distiller', 'EnsembleTeacher',
    'FrozenTeacher', 'PathError', 'Taps', 'Term', 'WarmupWeight'
]
