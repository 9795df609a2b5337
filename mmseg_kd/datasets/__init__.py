from .camvid import CamVidDataset
from .coco_panoptic import CocoPanopticSemDataset
from .digit_scenes import DigitScenesDataset, write_digit_scenes
from .labeled_part import LabeledPartDataset
from .original_pixels import OriginalPixels, original_pixels, with_original_pixels
from .partitions import PARTITIONS, published_ids
from .pseudo_label import PseudoLabelDataset
from .semi_supervised import SemiSupervisedDataset
from .splits import write_split
from .stream_sampler import StreamSampler
from .transforms import (
    LoadBlankAnnotations,
    LoadPanopticSemAnnotations,
    LoadSoftLabels,
    LoadUnknownAnnotations,
    LoadVoidAnnotations,
    PackSoftSegInputs,
    RandomAffine,
)
from .unlabeled_folder import UnlabeledFolderDataset
from .view_dataset import ViewDataset
from .view_sampler import InfiniteViewSampler, ViewSampler

__all__ = [
    'PARTITIONS',
    'CamVidDataset',
    'CocoPanopticSemDataset',
    'DigitScenesDataset',
    'InfiniteViewSampler',
    'LabeledPartDataset',
    'LoadBlankAnnotations',
    'LoadPanopticSemAnnotations',
    'LoadSoftLabels',
    'LoadUnknownAnnotations',
    'LoadVoidAnnotations',
    'OriginalPixels',
    'PackSoftSegInputs',
    'PseudoLabelDataset',
    'RandomAffine',
    'SemiSupervisedDataset',
    'StreamSampler',
    'UnlabeledFolderDataset',
    'ViewDataset',
    'ViewSampler',
    'original_pixels',
    'published_ids',
    'with_original_pixels',
    'write_digit_scenes',
    'write_split',
]
