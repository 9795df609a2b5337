"""Tables as Markdown and CSV, from the same rows of strings; the first row is the header."""

import csv
import io
from collections.abc import Sequence

Rows = Sequence[Sequence[str]]


def markdown_table(rows: Rows) -> str:
    """Columns aligned by spaces, so that it also reads as text: the first to the left, the others to the right."""
    # No column is narrower than Markdown's rule under the header.
    widths = [max(2, *map(len, column)) for column in zip(*rows)]
    cells = [
        [cell.rjust(width) if i else cell.ljust(width) for i, (cell, width) in enumerate(zip(row, widths))]
        for row in rows
    ]
    rule = ['-' * (width - 1) + ':' if i else '-' * width for i, width in enumerate(widths)]
    return '\n'.join('| ' + ' | '.join(row) + ' |' for row in [cells[0], rule, *cells[1:]])


def csv_table(rows: Rows) -> str:
    """Comma-separated values."""
    out = io.StringIO()
    csv.writer(out, lineterminator='\n').writerows(rows)
    return out.getvalue()
