"""Whole runs: from a command line to a trained student."""

from ..io.command_line import add_training_arguments
from .distill import distill
from .distillation_config import TeacherChoice, distillation_config
from .method_choice import MethodChoice, choose_method
from .outcome import outcome_table
from .training import train
from .unlabeled_images import with_unlabeled

__all__ = [
    'MethodChoice',
    'TeacherChoice',
    'add_training_arguments',
    'choose_method',
    'distill',
    'distillation_config',
    'outcome_table',
    'train',
    'with_unlabeled',
]
