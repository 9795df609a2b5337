from .load_blank_annotations import LoadBlankAnnotations
from .load_panoptic_sem_annotations import LoadPanopticSemAnnotations
from .load_soft_labels import LoadSoftLabels
from .load_unknown_annotations import LoadUnknownAnnotations
from .load_void_annotations import LoadVoidAnnotations
from .pack_soft_seg_inputs import PackSoftSegInputs
from .random_affine import RandomAffine

__all__ = [
    'LoadBlankAnnotations',
    'LoadPanopticSemAnnotations',
    'LoadSoftLabels',
    'LoadUnknownAnnotations',
    'LoadVoidAnnotations',
    'PackSoftSegInputs',
    'RandomAffine',
]
