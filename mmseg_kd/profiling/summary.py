"""What a distiller is made of, as text."""

import logging
import math
from collections.abc import Sequence

import torch
from mmengine.analysis import FlopAnalyzer
from mmengine.logging import print_log
from torch import nn

from ..distillers import Distiller
from ..distillers.inference import image_channels, image_size


def cost(model: nn.Module, size: Sequence[int]) -> tuple:
    """Parameters, and multiply-adds (which MMEngine calls FLOPs) for one image of the given size (H, W).

    Multiply-adds are NaN, with a warning, for a network that cannot be counted: one that PyTorch cannot trace, or whose
    ``mode='tensor'`` needs more than images.
    """
    training = model.training
    model.eval()
    images = torch.zeros(1, image_channels(model), *size).to(next(model.parameters()))
    try:
        with torch.no_grad():
            analysis = FlopAnalyzer(model, images).unsupported_ops_warnings(False).uncalled_modules_warnings(False)
            flops = analysis.total()
    except Exception as error:
        reason = ' '.join(str(error).split())[:200] or type(error).__name__
        print_log(
            f'the multiply-adds of {type(model).__name__} cannot be counted: {reason}', 'current', logging.WARNING
        )
        flops = math.nan
    finally:
        model.train(training)
    return sum(p.numel() for p in inference_parameters(model)), flops


def inference_parameters(model: nn.Module) -> list[nn.Parameter]:
    """Parameters that a deployed segmentor has: all but those of auxiliary heads."""
    return [p for name, p in model.named_parameters() if not name.startswith('auxiliary_head')]


def distillation_summary(model: Distiller) -> str:
    """Teacher and student with parameters, FLOPs and ratios; each term with paths, shapes and weight."""
    size = image_size(model.data_preprocessor)
    parameters, flops = cost(model.student, size)
    rows = [
        ('', 'parameters', f'FLOPs at {size[0]}x{size[1]}', 'of the student'),
        ('student', _si(parameters), _si(flops), f'1.00 x, {_ratio(flops, flops)}'),
    ]
    for name, teacher in model.teachers.items():
        for i, member in enumerate(teacher.members):
            p, f = cost(member.module, [round(side * member.scale) for side in size])
            label = ' '.join(filter(None, ['teacher', name, str(i) if len(teacher.members) > 1 else '']))
            rows.append((label, _si(p), _si(f), f'{p / parameters:.2f} x, {_ratio(f, flops)}'))
    terms = [('term', 'loss', 'student', 'teacher', 'weight', 'trained with it')]
    for name, term in model.all_terms.items():
        extra = sum(p.numel() for p in term.parameters())
        terms.append(
            (
                name,
                type(term.loss).__name__,
                _paths(term.student_paths, term.student_shapes),
                _paths(term.teacher_paths, term.teacher_shapes),
                type(term.schedule).__name__ if term.schedule else f'{term.weight:g}',
                _si(extra) if extra else '-',
            )
        )
    return _table(rows) + '\n\n' + _table(terms)


def _ratio(flops: float, of: float) -> str:
    return '-' if math.isnan(flops / max(of, 1)) else f'{flops / max(of, 1):.2f} x'


def _paths(paths: list[str], shapes: list[Sequence[int]]) -> str:
    return ', '.join(f'{path} {"x".join(map(str, shape[1:]))}' for path, shape in zip(paths, shapes))


def _table(rows: list[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows)]
    return '\n'.join('  '.join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)


def _si(number: float) -> str:
    if math.isnan(number):
        return '-'
    for factor, unit in ((1e9, 'G'), (1e6, 'M'), (1e3, 'k')):
        if number >= factor:
            return f'{number / factor:.2f} {unit}'
    return f'{number:g}'
