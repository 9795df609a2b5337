from .batch_statistics_norm import BatchStatisticsNorm
from .branch_preprocessor import BranchPreprocessor
from .compact_seg_net import CompactEncoder, CompactHead
from .efficientnet_lite_weights import EfficientNetLiteWeights
from .hf_universal_segmentor import HFUniversalSegmentor
from .soft_dice_loss import SoftDiceLoss
from .softmax_focal_loss import SoftmaxFocalLoss
from .wide_resnet import WideResNet

__all__ = [
    'BatchStatisticsNorm',
    'BranchPreprocessor',
    'CompactEncoder',
    'CompactHead',
    'EfficientNetLiteWeights',
    'HFUniversalSegmentor',
    'SoftDiceLoss',
    'SoftmaxFocalLoss',
    'WideResNet',
]
