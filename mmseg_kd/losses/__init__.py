from .ace_loss import ACELoss
from .af_dcd_loss import AfDCDLoss
from .apd_context_loss import APDContextLoss
from .apd_loss import APDLoss
from .apd_prototype_loss import APDPrototypeLoss
from .attention_transfer_loss import AttentionTransferLoss, AttentionTransferNormLoss
from .attn_fd_loss import AttnFDLoss
from .base import AdversarialLoss, DistillLoss
from .bpkd_loss import BPKDLoss
from .channel_fakd_loss import ChannelFAKDLoss
from .cirkd_channel_loss import CIRKDChannelLoss
from .cirkd_memory_loss import CIRKDMemoryLoss, StrayCIRKDMemoryLoss
from .cirkd_mini_batch_loss import CIRKDMiniBatchLoss
from .consistency_kd_loss import ConsistencyKDLoss
from .cosine_feature_loss import CosineFeatureLoss
from .critic import HolisticCritic
from .csc_loss import CSCLoss
from .cwd_loss import CWDLoss
from .dist_loss import DISTLoss
from .dkd_loss import DKDLoss
from .dsd_category_similarity_loss import CosineDSDCategorySimilarityLoss, DSDCategorySimilarityLoss
from .dsd_pixel_similarity_loss import DSDPixelSimilarityLoss
from .fakd_loss import FAKDLoss
from .half_map_pair_wise_kd_loss import HalfMapPairWiseKDLoss
from .hint_loss import HintLoss
from .holistic_kd_loss import HingeHolisticKDLoss, HolisticKDLoss
from .idd_inter_class_distance_loss import IDDInterClassDistanceLoss
from .idd_position_loss import IDDPositionLoss
from .ifvd_loss import IFVDLoss
from .image_semantic_loss import ImageSemanticLoss
from .ka_adaptation_loss import KAAdaptationLoss
from .ka_affinity_loss import KAAffinityLoss
from .ka_translator_loss import KATranslatorLoss
from .masked_generative_loss import MaskedGenerativeLoss
from .pair_wise_kd_loss import MaxPairWiseKDLoss, PairWiseKDLoss
from .pixel_wise_kd_loss import PixelWiseKDLoss
from .probability_mse_loss import ProbabilityMSELoss
from .projected_cosine_loss import ProjectedCosineLoss
from .pseudo_label_loss import PseudoLabelLoss
from .raw_holistic_kd_loss import RawHolisticKDLoss
from .region_content_loss import RegionContentLoss
from .salc_attention_loss import SALCAttentionLoss
from .salc_context_loss import SALCContextLoss
from .sstkd_statistical_texture_loss import SSTKDStatisticalTextureLoss
from .sstkd_structural_texture_loss import SSTKDStructuralTextureLoss
from .standardized_kd_loss import StandardizedKDLoss
from .summed_pixel_wise_kd_loss import SummedPixelWiseKDLoss

__all__ = [
    'ACELoss',
    'AdversarialLoss',
    'AfDCDLoss',
    'APDContextLoss',
    'APDLoss',
    'APDPrototypeLoss',
    'AttentionTransferLoss',
    'AttentionTransferNormLoss',
    'AttnFDLoss',
    'BPKDLoss',
    'ChannelFAKDLoss',
    'CIRKDChannelLoss',
    'CIRKDMemoryLoss',
    'CIRKDMiniBatchLoss',
    'ConsistencyKDLoss',
    'CosineDSDCategorySimilarityLoss',
    'CosineFeatureLoss',
    'CSCLoss',
    'CWDLoss',
    'DistillLoss',
    'DISTLoss',
    'DKDLoss',
    'DSDCategorySimilarityLoss',
    'DSDPixelSimilarityLoss',
    'FAKDLoss',
    'HalfMapPairWiseKDLoss',
    'HingeHolisticKDLoss',
    'HintLoss',
    'HolisticCritic',
    'HolisticKDLoss',
    'IDDInterClassDistanceLoss',
    'IDDPositionLoss',
    'IFVDLoss',
    'ImageSemanticLoss',
    'KAAdaptationLoss',
    'KAAffinityLoss',
    'KATranslatorLoss',
    'MaskedGenerativeLoss',
    'MaxPairWiseKDLoss',
    'PairWiseKDLoss',
    'PixelWiseKDLoss',
    'ProbabilityMSELoss',
    'ProjectedCosineLoss',
    'PseudoLabelLoss',
    'RawHolisticKDLoss',
    'RegionContentLoss',
    'SALCAttentionLoss',
    'SALCContextLoss',
    'SSTKDStatisticalTextureLoss',
    'SSTKDStructuralTextureLoss',
    'StandardizedKDLoss',
    'StrayCIRKDMemoryLoss',
    'SummedPixelWiseKDLoss',
]
