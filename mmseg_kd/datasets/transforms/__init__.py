from .load_blank_annotations import LoadBlankAnnotations
from .load_panoptic_sem_annotations import LoadPanopticSemAnnotations
from .random_affine import RandomAffine

__all__ = ['LoadBlankAnnotations', 'LoadPanopticSemAnnotations', 'RandomAffine']
