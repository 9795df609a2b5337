from .export import export_student
from .hooks import DistillSummaryHook, EnergyHook, ExportStudentHook, NonFiniteLossHook, TermWeightHook
from .optim import DistillOptimWrapperConstructor, JointOptimWrapper

__all__ = [
    'DistillOptimWrapperConstructor', 'DistillSummaryHook', 'EnergyHook', 'ExportStudentHook', 'JointOptimWrapper',
    'NonFiniteLossHook', 'TermWeightHook', 'export_student'
]
