from .export import export_student
from .hooks import (
    BatchSizeHook,
    DistillSummaryHook,
    EnergyHook,
    ExactResumeHook,
    ExportStudentHook,
    FittingCheckpointHook,
    ImageConfusionHook,
    LoadedImageHook,
    MeanTeacherHook,
    NonFiniteLossHook,
    ResumableEarlyStoppingHook,
    ResumeCheckHook,
    StepSeedHook,
    StopOnSignalHook,
    TeacherCacheHook,
    TeacherPartitionHook,
    TermWeightHook,
    ValidateOnResumeHook,
    ValidationLossHook,
)
from .loops import MCKDLoop, OwnPartitionMCKDLoop
from .newest_checkpoint import resume_newest
from .optim import BFloat16OptimWrapper, DistillOptimWrapperConstructor, JointOptimWrapper
from .own_hooks import complete_hooks
from .safe_saves import make_saves_safe
from .share_tta_model import ShareTTAModel
from .stoppable_training import make_trainings_stoppable

complete_hooks()
make_saves_safe()
make_trainings_stoppable()
resume_newest()

__all__ = [
    'BFloat16OptimWrapper',
    'BatchSizeHook',
    'DistillOptimWrapperConstructor',
    'DistillSummaryHook',
    'EnergyHook',
    'ExactResumeHook',
    'ExportStudentHook',
    'FittingCheckpointHook',
    'ImageConfusionHook',
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
    'StopOnSignalHook',
    'TeacherCacheHook',
    'TeacherPartitionHook',
    'TermWeightHook',
    'ValidateOnResumeHook',
    'ValidationLossHook',
    'export_student',
]
