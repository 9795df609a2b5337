from .export import export_student
from .hooks import (
    BatchSizeHook,
    DistillSummaryHook,
    EnergyHook,
    ExportStudentHook,
    FittingCheckpointHook,
    LoadedImageHook,
    MeanTeacherHook,
    NonFiniteLossHook,
    ResumableEarlyStoppingHook,
    ResumeCheckHook,
    StepSeedHook,
    TeacherPartitionHook,
    TermWeightHook,
    ValidateOnResumeHook,
    ValidationLossHook,
)
from .loops import MCKDLoop, OwnPartitionMCKDLoop
from .optim import BFloat16OptimWrapper, DistillOptimWrapperConstructor, JointOptimWrapper
from .own_hooks import complete_hooks
from .share_tta_model import ShareTTAModel

complete_hooks()

__all__ = [
    'BFloat16OptimWrapper',
    'BatchSizeHook',
    'DistillOptimWrapperConstructor',
    'DistillSummaryHook',
    'EnergyHook',
    'ExportStudentHook',
    'FittingCheckpointHook',
    'JointOptimWrapper',
    'LoadedImageHook',
    'MCKDLoop',
    'MeanTeacherHook',
    'NonFiniteLossHook',
    'OwnPartitionMCKDLoop',
    'ResumableEarlyStoppingHook',
    'ResumeCheckHook',
    'ShareTTAModel',
    'StepSeedHook',
    'TeacherPartitionHook',
    'TermWeightHook',
    'ValidateOnResumeHook',
    'ValidationLossHook',
    'export_student',
]
