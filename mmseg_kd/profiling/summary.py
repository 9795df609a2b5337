"""A summary of a distiller's networks and terms."""

import math
from collections.abc import Sequence

from ..distillers import Distiller
from ..distillers.inference import image_size
from ..distillers.teacher import ORIGINAL, scaled_size
from .complexity import complexity


def distillation_summary(model: Distiller) -> str:
    """Parameters and MACs of student and teachers, and paths, shapes and weight of each term, as text."""
    size = image_size(model.data_preprocessor)
    parameters, macs = complexity(model.student, size)
    rows = [
        ('', 'parameters', f'MACs at {size[0]}x{size[1]}', 'ratio to the student'),
        ('student', _si(parameters), _si(macs), f'1.00 x, {_ratio(macs, macs)}'),
    ]
    for name, teacher in model.teachers.items():
        for i, member in enumerate(teacher.members):
            p, f = complexity(member.module, scaled_size(size, member.scale))
            label = ' '.join(filter(None, ['teacher', name, str(i) if len(teacher.members) > 1 else '']))
            if member.pixels == ORIGINAL:  # their size is that of the files
                label += ', at the size of the student'
            rows.append((label, _si(p), _si(f), f'{p / parameters:.2f} x, {_ratio(f, macs)}'))
    terms = [('term', 'loss', 'student', 'teacher', 'weight', 'own parameters')]
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


def _ratio(macs: float, of: float) -> str:
    return '-' if math.isnan(macs / max(of, 1)) else f'{macs / max(of, 1):.2f} x'


def _paths(paths: Sequence[str], shapes: Sequence[Sequence[int]]) -> str:
    return ', '.join(f'{path} {"x".join(map(str, shape[1:]))}' for path, shape in zip(paths, shapes))


def _table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows)]
    return '\n'.join('  '.join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)


def _si(number: float) -> str:
    if math.isnan(number):
        return '-'
    for factor, unit in ((1e9, 'G'), (1e6, 'M'), (1e3, 'k')):
        if number >= factor:
            return f'{number / factor:.2f} {unit}'
    return f'{number:g}'
