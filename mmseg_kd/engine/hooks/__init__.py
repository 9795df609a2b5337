from .distill_summary_hook import DistillSummaryHook
from .energy_hook import EnergyHook
from .export_student_hook import ExportStudentHook
from .non_finite_loss_hook import NonFiniteLossHook
from .term_weight_hook import TermWeightHook

__all__ = ['DistillSummaryHook', 'EnergyHook', 'ExportStudentHook', 'NonFiniteLossHook', 'TermWeightHook']
