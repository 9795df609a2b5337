from .class_checks import check_class_maps
from .compile_checks import check_compiled_pools
from .config_checks import check_config
from .loader_checks import check_data_classes, check_loader
from .metric_checks import check_metrics
from .precision_checks import check_precision, check_teacher_precision
from .problems import Problems
from .schedule_checks import check_schedules
from .term_checks import check_terms
from .training_loop import Loop, training_loop, training_size
from .type_checks import type_mistakes

__all__ = [
    'Loop',
    'Problems',
    'check_class_maps',
    'check_compiled_pools',
    'check_config',
    'check_data_classes',
    'check_loader',
    'check_metrics',
    'check_precision',
    'check_schedules',
    'check_teacher_precision',
    'check_terms',
    'training_loop',
    'training_size',
    'type_mistakes',
]
