"""The picture of a method: which maps of student and teacher each of its terms compares, as an SVG."""

import re
from collections.abc import Sequence
from html import escape

from torch import nn

from mmseg_kd.distillers.term import Term

TRUNK = ['images', 'stage 1', 'stage 2', 'stage 3', 'stage 4', 'head features', 'classifier', 'logits']
STEP, TERM_STEP, TOP = 46, 58, 40
LEFT, TERMS, RIGHT, WIDTH = (10, 130), (205, 230), (500, 130), 640  # x and width of the columns; the whole


def box_of(path: str) -> str:
    """The box of the picture that a path of a term belongs to."""
    stage = re.search(r'backbone(?:\[(\d)\]|\.layer(\d))', path)
    if stage:
        return f'stage {int(stage[1]) + 1 if stage[1] else stage[2]}'
    for pattern, box in [
        (r'inputs$', 'images'),
        (r'auxiliary_head', 'auxiliary head'),
        (r'conv_seg', 'classifier'),
        (r'logits$', 'logits'),
        (r'prelogits$|decode_head', 'head features'),
    ]:
        if re.search(rf'(^|\.){pattern}', path):
            return box
    return path


def method_picture(terms: Sequence[Term]) -> str:
    """An inline SVG that takes the colors of the page: student on the left, teacher on the right, terms between.

    Args:
        terms: The terms of one method, built.
    """
    read = [[box_of(path) for path in paths] for term in terms for paths in (term.student_paths, term.teacher_paths)]
    boxes = [*TRUNK, *dict.fromkeys(box for boxes in read for box in boxes if box not in TRUNK)]
    middle = {box: TOP + STEP * row + 15 for row, box in enumerate(boxes)}
    both = [student + teacher for student, teacher in zip(read[::2], read[1::2])]
    places = _spread([sum(middle[box] for box in boxes_read) / len(boxes_read) for boxes_read in both])
    height = max(TOP + STEP * len(boxes), max(places) + 40)
    parts = [f'<svg class="method" viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="What the terms compare">']
    parts += [_text(x + width / 2, 20, title, 'title') for (x, width), title in ((LEFT, 'student'), (RIGHT, 'teacher'))]
    for (x, width), rows in ((LEFT, read[::2]), (RIGHT, read[1::2])):
        used = {box for row in rows for box in row}
        parts += [f'<line class="trunk" x1="{x + width / 2}" x2="{x + width / 2}" y1="{TOP}" y2="{middle["logits"]}"/>']
        parts += [
            _box(x, middle[box] - 15, width, 30, 'read' if box in used else 'box', [box])
            for box in boxes
            if box in TRUNK or box in used
        ]
    for term, y, student, teacher in zip(terms, places, read[::2], read[1::2]):
        parts += [_line(LEFT[0] + LEFT[1], middle[box], TERMS[0], y) for box in dict.fromkeys(student)]
        parts += [_line(RIGHT[0], middle[box], TERMS[0] + TERMS[1], y) for box in dict.fromkeys(teacher)]
        parts.append(_box(TERMS[0], y - 22, TERMS[1], 44, 'term', [type(term.loss).__name__, _notes(term)]))
    return '\n'.join([*parts, '</svg>'])


def _notes(term: Term) -> str:
    weight = term.schedule.weight if term.weight is None else term.weight
    notes = [f'weight {weight:.3g}' + (', scheduled' if term.weight is None else '')]
    notes += ['adapter'] * any(not isinstance(adapter, nn.Identity) for adapter in term.adapters)
    return ', '.join(notes + ['labels'] * term.loss.needs_labels + ['auxiliary module'] * (term.critic is not None))


def _spread(wanted: list[float]) -> list[float]:
    """Heights of the terms: as wanted, but none nearer to another than ``TERM_STEP``, nor above the top."""
    order = sorted(range(len(wanted)), key=wanted.__getitem__)
    found, lowest = [0.0] * len(wanted), TOP + 22.0
    for index in order:
        found[index] = max(wanted[index], lowest)
        lowest = found[index] + TERM_STEP
    # Terms that read the same box lie around it rather than below it.
    excess = min(sum(f - w for f, w in zip(found, wanted)) / len(wanted), min(found) - TOP - 22)
    return [place - max(excess, 0) for place in found]


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    bend = (x1 + x2) / 2
    return f'<path class="reads" d="M{x1},{y1} C{bend},{y1} {bend},{y2:.0f} {x2},{y2:.0f}"/>'


def _box(x: float, y: float, width: float, height: float, kind: str, lines: list[str]) -> str:
    start = y + height / 2 + 5 - 9 * (len(lines) - 1)
    texts = [_text(x + width / 2, start + 18 * i, line, kind if i == 0 else 'note') for i, line in enumerate(lines)]
    return f'<rect class="{kind}" x="{x}" y="{y:.0f}" width="{width}" height="{height}" rx="5"/>' + ''.join(texts)


def _text(x: float, y: float, text: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x}" y="{y:.0f}" text-anchor="middle">{escape(text)}</text>'
