from .batch_size_hook import BatchSizeHook
from .distill_summary_hook import DistillSummaryHook
from .energy_hook import EnergyHook
from .exact_resume_hook import ExactResumeHook
from .export_student_hook import ExportStudentHook
from .fitting_checkpoint_hook import FittingCheckpointHook
from .image_confusion_hook import ImageConfusionHook
from .loaded_image_hook import LoadedImageHook
from .mean_teacher_hook import MeanTeacherHook
from .non_finite_loss_hook import NonFiniteLossHook
from .resumable_early_stopping_hook import ResumableEarlyStoppingHook
from .resume_check_hook import ResumeCheckHook
from .step_seed_hook import StepSeedHook
from .stop_on_signal_hook import StopOnSignalHook
from .teacher_cache_hook import TeacherCacheHook
from .teacher_partition_hook import TeacherPartitionHook
from .term_weight_hook import TermWeightHook
from .validate_on_resume_hook import ValidateOnResumeHook
from .validation_loss_hook import ValidationLossHook

__all__ = [
    'BatchSizeHook',
    'DistillSummaryHook',
    'EnergyHook',
    'ExactResumeHook',
    'ExportStudentHook',
    'FittingCheckpointHook',
    'ImageConfusionHook',
    'LoadedImageHook',
    'MeanTeacherHook',
    'NonFiniteLossHook',
    'ResumableEarlyStoppingHook',
    'ResumeCheckHook',
    'StepSeedHook',
    'StopOnSignalHook',
    'TeacherCacheHook',
    'TeacherPartitionHook',
    'TermWeightHook',
    'ValidateOnResumeHook',
    'ValidationLossHook',
]
