"""The method of a distillation for which the user has not named one."""

import re
from typing import Any, NamedTuple

from mmengine.config import Config, ConfigDict
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from torch import nn

from ..io.configs import segmentor_config

AUTO = 'auto'
LOGITS = (
    'the divergence of every class map, with 30 % of the gradient. It fits every pair of networks with the same '
    'classes, and counts rare classes as much as frequent ones'
)


class MethodChoice(NamedTuple):
    """The terms of a distillation.

    Args:
        terms: Name of a file in ``configs/_base_/terms``, or a path.
        reason: Why these terms, in one or two sentences.
    """

    terms: str
    reason: str


def choose_method(method: str, student: Config, teacher: Config | None, without_labels: bool = False) -> MethodChoice:
    """The terms for a method; for ``'auto'``, a term on the logits, and one on features where networks are alike.

    Where nothing but terms learns from some images, ``'auto'`` is DIST on the logits with 60 % of the gradient, which
    was ahead of the others there (``docs/benchmarks/camvid.md``).

    Networks are alike if they have the same type of backbone and of decode head, as ResNet-101 and ResNet-18 with
    PSPNet's head have. What their classifiers read then differs in the number of channels, and in little else. Of the
    terms on features that were tried beside CWD, attention transfer varied least over seeds, and gained as much as the
    best (``configs/sweeps/default_digits.py``).

    Args:
        method: ``'auto'``, the name of a file in ``configs/_base_/terms``, or the path of a file of terms.
        student: Config of the student's training.
        teacher: Config of the teacher; None for a network of Hugging Face.
        without_labels: Whether there are images for which neither the data set nor the teacher has labels.

    Example:
        >>> student = Config.fromfile('student.py')
        >>> choose_method('cwd', student, None).terms, choose_method('auto', student, None).terms
        ('cwd', 'cwd_tuned')
    """
    if method != AUTO:
        return MethodChoice(method, 'named on the command line')
    if without_labels:
        return MethodChoice(
            'dist_unlabeled_tuned',
            'the relations between classes and between pixels, with 60 % of the gradient, because the teacher cannot '
            'label the images without labels, so that nothing else teaches them',
        )
    if teacher is None:
        return MethodChoice('cwd_tuned', f'{LOGITS}. No term on features: the teacher is of another library')
    init_default_scope(student.get('default_scope') or 'mmseg')
    ours, theirs = segmentor_config(student), segmentor_config(teacher)
    for part in ('backbone', 'decode_head'):
        types = [_family(network.get(part)) for network in (ours, theirs)]
        if types[0] != types[1] or types[0] is None:
            shown = ' and '.join(name or 'none' for name in types)
            return MethodChoice('cwd_tuned', f'{LOGITS}. No term on features: the {part}s differ ({shown})')
    if not _has_classifier(ours.decode_head):
        return MethodChoice(
            'cwd_tuned', f'{LOGITS}. No term on features: {types[0]} has no layer conv_seg whose input can be compared'
        )
    return MethodChoice(
        'cwd_at_tuned',
        f'{LOGITS}; and the attention of the features that the classifier reads, with 15 %, because both networks have '
        f'a backbone {_family(ours.backbone)} and a {types[0]}',
    )


def _family(part: Any) -> str | None:
    """The type of a backbone or head; for a wrapper of another library's networks, with the name of their family."""
    if not isinstance(part, dict) or part.get('type') is None:
        return None  # networks with several decode heads, or none
    kind = part['type'] if isinstance(part['type'], str) else part['type'].__name__
    kind = kind.rpartition('.')[2]
    name = part.get('model_name') or part.get('pretrained')
    if not kind.startswith(('TIMM', 'HF')) or not isinstance(name, str):
        return kind
    # 'tf_efficientnet_lite0' and 'tf_efficientnet_lite2', 'facebook/dinov2-small' and 'facebook/dinov2-base'
    return f'{kind} {re.split(r"[0-9]+$|[-_.](?:tiny|mini|nano|small|base|large|huge|giant)", name)[0]}'


def _has_classifier(head: ConfigDict) -> bool:
    return isinstance(getattr(MODELS.build(head), 'conv_seg', None), nn.Module)
