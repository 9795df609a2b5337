from .attention_transfer_loss import AttentionTransferLoss, AttentionTransferNormLoss
from .base import AdversarialLoss, DistillLoss
from .bpkd_loss import BPKDLoss
from .cosine_feature_loss import CosineFeatureLoss
from .critic import HolisticCritic
from .cwd_loss import CWDLoss
from .hint_loss import HintLoss
from .holistic_kd_loss import HingeHolisticKDLoss, HolisticKDLoss
from .ifvd_loss import IFVDLoss
from .pair_wise_kd_loss import MaxPairWiseKDLoss, PairWiseKDLoss
from .pixel_wise_kd_loss import PixelWiseKDLoss

__all__ = [
    'AdversarialLoss', 'AttentionTransferLoss', 'AttentionTransferNormLoss', 'BPKDLoss', 'CosineFeatureLoss',
    'CWDLoss', 'DistillLoss', 'HingeHolisticKDLoss', 'HintLoss', 'HolisticCritic', 'HolisticKDLoss', 'IFVDLoss',
    'MaxPairWiseKDLoss', 'PairWiseKDLoss', 'PixelWiseKDLoss'
]
