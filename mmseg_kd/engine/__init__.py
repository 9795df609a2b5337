from .export import export_student
from .hooks import DistillSummaryHook, ExportStudentHook, NonFiniteLossHook, TermWeightHook
from .optim import DistillOptimWrapperConstructor, JointOptimWrapper

__all__ = [
    'DistillOptimWrapperConstructor', 'DistillSummaryHook', 'ExportStudentHook', 'JointOptimWrapper', 'NonFiniteLossHook',
    'TermWeightHook', 'export_student'
]
