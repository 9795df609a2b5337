"""Tables as Markdown and CSV. The first row is the header.

prettytable is no substitute, because it refuses equal column names, which the table of modules has.
"""

import csv
import io
from collections.abc import Sequence
from typing import Any

Rows = Sequence[Sequence[str]]


def markdown_table(rows: Rows) -> str:
    """A Markdown table that is padded with spaces, so that it also reads as plain text.

    The first column is aligned to the left, all others to the right.

    Args:
        rows: Cells by row, the header first.

    Example:
        >>> print(markdown_table([('method', 'mIoU'), ('baseline', '70.1')]))
        | method   | mIoU |
        | -------- | ---: |
        | baseline | 70.1 |
    """
    # The separator under the header needs at least two characters.
    widths = [max(2, *map(len, column)) for column in zip(*rows)]
    cells = [
        [cell.rjust(width) if i else cell.ljust(width) for i, (cell, width) in enumerate(zip(row, widths))]
        for row in rows
    ]
    rule = ['-' * (width - 1) + ':' if i else '-' * width for i, width in enumerate(widths)]
    return '\n'.join('| ' + ' | '.join(row) + ' |' for row in [cells[0], rule, *cells[1:]])


def csv_table(rows: Sequence[Sequence[Any]]) -> str:
    """A table as comma-separated values; None is an empty cell, and numbers have all their digits.

    Args:
        rows: Cells by row, the header first.

    Example:
        >>> csv_table([('method', 'mIoU'), ('baseline', '70.1')])
        'method,mIoU\\nbaseline,70.1\\n'
    """
    out = io.StringIO()
    csv.writer(out, lineterminator='\n').writerows(rows)
    return out.getvalue()
