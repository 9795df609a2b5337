from .labeler import Labeler
from .quality import Quality, agreement, judge
from .shares import class_shares, shares_report
from .writer import SUFFIXES, by_name, find_images, images_of_ids, read_summary, write_labels

__all__ = [
    'SUFFIXES',
    'Labeler',
    'Quality',
    'agreement',
    'by_name',
    'class_shares',
    'find_images',
    'images_of_ids',
    'judge',
    'read_summary',
    'shares_report',
    'write_labels',
]
