from .calibration_metric import CalibrationMetric
from .evaluate import evaluate, predictions
from .image_iou_metric import ImageIoUMetric
from .label_quality_metric import LabelQualityMetric
from .output_statistics import OutputStatistics
from .teacher_outputs import analyze_teacher, load_teachers, teacher_predict
from .teacher_report import teacher_report
from .trained_network import trained_network

__all__ = [
    'CalibrationMetric',
    'ImageIoUMetric',
    'LabelQualityMetric',
    'OutputStatistics',
    'analyze_teacher',
    'evaluate',
    'load_teachers',
    'predictions',
    'teacher_predict',
    'teacher_report',
    'trained_network',
]
