"""The picture of a table of results: what each method gains over the student alone, with two kinds of weights."""

import re

from mmseg_kd.comparison.svg_charts import Estimate, dot_chart

HEADER = '| method | published weights | 30 % of the gradient |'
GAIN = re.compile(r'[+-]\d+(?:\.\d+)?')
STYLE = """
text { font: 12px system-ui, sans-serif; fill: #1f2328; }
.tick, .label { font-size: 11px; fill: #59636e; }
.grid { stroke: #d8dee4; }
.reference { stroke: #59636e; }
.hover { fill: none; }
.stroke { stroke: #8c959f; stroke-width: 2; }
.faint { r: 6.5px; fill: #fff; stroke: #bc4c00; stroke-width: 2.5; }
.fill { fill: #0969da; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; } .tick, .label { fill: #9198a1; } .grid { stroke: #3d444d; } .reference { stroke: #9198a1; }
  .faint { fill: #0d1117; stroke: #f0883e; } .fill { fill: #4493f8; }
}
"""


def rows_of(page: str) -> list[Estimate]:
    """The rows of the table below :data:`HEADER`: a gain of published weights, if there is one, and that of the share.

    Raises:
        ValueError: if the page has no such table, or a row has other columns or no gain of the share.
    """
    _, found, rest = page.partition(f'{HEADER}\n')
    if not found:
        raise ValueError(f'the page must have a table with the header {HEADER}')
    rows = []
    for line in rest.split('\n\n', 1)[0].splitlines()[1:]:
        cells = [cell.strip(' *') for cell in line.strip('|').split('|')]
        gains = [GAIN.match(cell) for cell in cells[1:]]
        if len(gains) != 2 or gains[1] is None:
            raise ValueError(f'a row must have 3 columns, and a gain with its sign in the last one, but is {line!r}')
        values = [float(gain[0]) for gain in gains if gain]
        name, both = cells[0].replace('`', ''), len(values) == 2
        low, high = (min(values), max(values)) if both else (None, None)
        rows.append(Estimate(name, 'own', values[:-1], values[-1], low, high, ''))
    return rows


def gain_picture(page: str) -> str:
    """An SVG file with the rows of the table, the best on top: rings for published weights, dots for the share.

    Args:
        page: Text of the page with the table.

    Raises:
        ValueError: if a row cannot be read.
    """
    rows = sorted(rows_of(page), key=lambda row: -max([*row.values, row.center]))
    chart = dot_chart(rows, 'gain in mIoU over the student alone', 0.0)
    head, rest = chart.split('>', 1)
    return f'{head} xmlns="http://www.w3.org/2000/svg"><style>{STYLE}</style>{rest}\n'
