"""The picture of a table of results: what each method gains over the student alone, with two kinds of weights."""

import re
from html import escape
from typing import NamedTuple

HEADER = '| method | published weights | 30 % of the gradient |'
ALONE = re.compile(r'Alone, the student has \*\*[\d.]+ ± ([\d.]+)\*\*')
ROW, TOP, LEFT, PLOT, RIGHT, BOTTOM = 24, 52, 320, 400, 20, 44
MARGIN, STEP = 0.5, 1  # mIoU: beside the outermost values, and between two ticks
RADIUS = dict(published=7, tuned=4)  # the larger is seen around the other
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2328; }
.small { font-size: 12px; fill: #59636e; }
.grid { stroke: #d8dee4; }
.alone { stroke: #59636e; }
.std { fill: #59636e; fill-opacity: .15; }
.pair { stroke: #8c959f; stroke-width: 2; }
.published { fill: #fff; stroke: #bc4c00; stroke-width: 2.5; }
.tuned { fill: #0969da; stroke: #0969da; stroke-width: 2.5; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; } .small { fill: #9198a1; } .grid { stroke: #3d444d; } .alone { stroke: #9198a1; }
  .std { fill: #9198a1; } .published { fill: #0d1117; stroke: #f0883e; } .tuned { fill: #4493f8; stroke: #4493f8; }
}
"""


class Row(NamedTuple):
    """A row of the table.

    Args:
        method: name of the method.
        published: gain in mIoU with the published weights; None if not measured.
        tuned: gain in mIoU with a share of the gradient; None if not measured.
    """

    method: str
    published: float | None
    tuned: float | None


def rows_of(page: str) -> list[Row]:
    """The rows of the table below :data:`HEADER`.

    Raises:
        ValueError: if the page has no such table, or a row of other columns.
    """
    _, found, rest = page.partition(f'{HEADER}\n')
    if not found:
        raise ValueError(f'the page must have a table with the header {HEADER}')
    rows = []
    for line in rest.split('\n\n', 1)[0].splitlines()[1:]:
        cells = [cell.strip(' *') for cell in line.strip('|').split('|')]
        if len(cells) != 3:
            raise ValueError(f'a row must have 3 columns, but {line!r} has {len(cells)}')
        published, tuned = (_gain(cell) for cell in cells[1:])
        rows.append(Row(cells[0].replace('`', ''), published, tuned))
    return rows


def gain_picture(page: str) -> str:
    """An SVG file with the rows of the table, the best on top, and a line for the student alone.

    Args:
        page: Text of the page, with the table and the sentence that :data:`ALONE` matches.

    Raises:
        ValueError: if the page lacks one of them.
    """
    alone = ALONE.search(page)
    if not alone:
        raise ValueError('the page must say "Alone, the student has **mIoU ± std**"')
    std = float(alone[1])
    rows = sorted(rows_of(page), key=lambda row: -max(_values(row)))
    values = [-std, *(value for row in rows for value in _values(row))]
    low, high = min(values) - MARGIN, max(values) + MARGIN

    def x(value: float) -> float:
        return LEFT + PLOT * (value - low) / (high - low)

    width, bottom = LEFT + PLOT + RIGHT, TOP + ROW * len(rows)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {bottom + BOTTOM}" role="img" '
        f'aria-label="Gains of {len(rows)} methods with published weights and with 30 % of the gradient">',
        f'<style>{STYLE}</style>',
        _dot('published', LEFT + 8, 16),
        _text(LEFT + 20, 20, 'published weights'),
        _dot('tuned', LEFT + 160, 16),
        _text(LEFT + 172, 20, '30 % of the gradient'),
        f'<rect class="std" x="{x(-std):.1f}" y="{TOP - 6}" width="{x(std) - x(-std):.1f}" '
        f'height="{bottom - TOP + 6}"/>',
        _text(x(0), TOP - 12, 'student alone', 'small', 'middle'),
    ]
    for tick in range(STEP * -int(-low // STEP), int(high) + 1, STEP):
        parts += [
            _line('grid', x(tick), TOP - 6, x(tick), bottom),
            _text(x(tick), bottom + 16, f'{tick:+d}' if tick else '0', 'small', 'middle'),
        ]
    parts.append(_line('alone', x(0), TOP - 6, x(0), bottom))
    parts.append(_text(LEFT + PLOT / 2, bottom + 36, 'gain in mIoU over the student alone', 'small', 'middle'))
    for place, row in enumerate(rows):
        y = TOP + ROW * (place + 0.5)
        parts.append(_text(LEFT - 12, y + 4, row.method, '', 'end'))
        if row.published is not None and row.tuned is not None:
            parts.append(_line('pair', x(row.published), y, x(row.tuned), y))
        if row.published is not None:
            parts.append(_dot('published', x(row.published), y))
        if row.tuned is not None:
            parts.append(_dot('tuned', x(row.tuned), y))
    return '\n'.join([*parts, '</svg>', ''])


def _gain(cell: str) -> float | None:
    found = re.match(r'[+-]\d+(?:\.\d+)?', cell)
    return float(found[0]) if found else None


def _values(row: Row) -> list[float]:
    values = [value for value in (row.published, row.tuned) if value is not None]
    if not values:
        raise ValueError(f'the row of {row.method} must have a number')
    return values


def _text(x: float, y: float, text: object, kind: str = '', anchor: str = 'start') -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(str(text))}</text>'


def _line(kind: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _dot(kind: str, x: float, y: float) -> str:
    return f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="{RADIUS[kind]}"/>'
