from .batch_statistics_norm import BatchStatisticsNorm
from .branch_preprocessor import BranchPreprocessor
from .class_map import ClassMap, map_classes, read_class_map
from .compact_seg_net import CompactEncoder, CompactHead
from .efficientnet_lite_weights import EfficientNetLiteWeights
from .hf_backbone import HFBackbone
from .hf_segmentor import HFSegmentor
from .soft_dice_loss import SoftDiceLoss
from .softmax_focal_loss import SoftmaxFocalLoss
from .wide_resnet import WideResNet

__all__ = [
    'BatchStatisticsNorm',
    'BranchPreprocessor',
    'ClassMap',
    'CompactEncoder',
    'CompactHead',
    'EfficientNetLiteWeights',
    'HFBackbone',
    'HFSegmentor',
    'SoftDiceLoss',
    'SoftmaxFocalLoss',
    'WideResNet',
    'map_classes',
    'read_class_map',
]
