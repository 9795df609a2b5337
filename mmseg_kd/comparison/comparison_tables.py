"""Tables of a comparison, as text, Markdown, LaTeX and CSV.

Text and LaTeX are written here, because prettytable needs unique column names and its LaTeX does not escape names.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ..io.runs import METRIC
from ..io.tables import csv_table, markdown_table
from .comparability import run_names
from .comparison import Comparison, Row
from .image_bootstrap import ImageDifference
from .statistics import PairedDifference, Spread

NOTHING = '-'
LATEX = {
    '\\': r'\textbackslash{}',
    '{': r'\{',
    '}': r'\}',
    '$': r'\$',
    '&': r'\&',
    '#': r'\#',
    '%': r'\%',
    '_': r'\_',
    '~': r'\textasciitilde{}',
    '^': r'\textasciicircum{}',
    '<': r'\textless{}',
    '>': r'\textgreater{}',
    '|': r'\textbar{}',
    '±': r'$\pm$',
    '"': r'\textquotedbl{}',
}
COLUMNS = (
    'candidate',
    'role',
    'seeds',
    'miou_mean',
    'miou_std',
    'gain',
    'paired_difference',
    'interval_low',
    'interval_high',
    'pairs',
    'iterations',
    'seconds',
    'peak_memory_mib',
    'standing',
    'fscore_mean',
    'fscore_std',
    'images_low',
    'images_high',
    'images',
)


class Cell(NamedTuple):
    """One cell of a table.

    Args:
        text: content of the cell.
        standing: ``'best'`` for bold, ``'within'`` (one std of the best) for underlined, or ``''``.
        value: number in the text, if there is one.

    Example:
        >>> Cell('60.00', 'best', 60.0).standing
        'best'
    """

    text: str
    standing: str = ''
    value: float | None = None


@dataclass
class Table:
    """A table with a header. The first column holds the names of the rows.

    Args:
        title: title of the table.
        header: names of the columns.
        rows: cells of each row, as many as columns.

    Example:
        >>> Table('Results', ['', 'mIoU'], [[Cell('cwd'), Cell('60.00', 'best')]]).header
        ['', 'mIoU']
    """

    title: str
    header: list[str]
    rows: list[list[Cell]]


def main_table(comparison: Comparison) -> Table:
    """mIoU, gain over the baseline and cost of each row."""
    compared = any(row.gain is not None for row in comparison.rows)
    measured = any(row.memory is not None for row in comparison.rows)
    scored = any(row.fscore is not None for row in comparison.rows)
    over_images = any(row.over_images is not None for row in comparison.rows)
    percent = f'{comparison.confidence * 100:g} %'
    header = [
        '',
        'seeds',
        f'{METRIC}, %',
        *(['mean F1, %'] if scored else []),
        *(['gain'] if compared else []),
        *([f'{percent} over images'] if over_images else []),
        *(['paired', f'{percent} over seeds', 'pairs'] if compared else []),
        'iterations',
        'seconds',
        *(['memory, MiB'] if measured else []),
    ]
    rows = []
    for row in comparison.rows:
        cells = [Cell(row.name), Cell(str(row.miou.count)), _spread_cell(row.miou, 2, row.standing)]
        if scored:
            cells.append(_spread_cell(row.fscore, 2, ''))
        if compared:
            cells.append(Cell(_number(row.gain, '+.2f')))
        if over_images:
            cells.append(_interval_cell(row.over_images))
        if compared:
            cells += _paired_cells(row)
        cells += [Cell(_number(row.iterations, '.0f')), Cell(_number(row.seconds, '.0f'))]
        rows.append(cells + ([Cell(_number(row.memory, '.0f'))] if measured else []))
    return Table('Comparison', header, rows)


def class_table(comparison: Comparison) -> Table | None:
    """IoU by class, with the longer side vertical; None if no log has it."""
    classes, rows = comparison.classes, [row for row in comparison.rows if row.class_iou]
    if not classes:
        return None
    cells = [
        [_spread_cell(row.class_iou.get(name), 1, row.class_standing.get(name, '')) for name in classes] for row in rows
    ]
    names = [row.name for row in rows]
    if len(classes) > len(rows):
        classes, names, cells = names, classes, [list(column) for column in zip(*cells)]
    return Table('IoU by class, %', ['', *classes], [[Cell(name), *line] for name, line in zip(names, cells)])


def run_table(comparison: Comparison) -> Table:
    """All runs of the rows."""
    names = _names(comparison)
    lines = []
    for row in comparison.rows:
        for run in row.runs:
            best = max(miou for _, miou in run.validations if miou == miou)
            lines.append(
                [
                    Cell(names[run.folder]),
                    Cell(row.name),
                    Cell(NOTHING if run.seed is None else str(run.seed)),
                    Cell(f'{run.miou:.2f}'),
                    Cell(f'{best:.2f}'),
                    Cell(str(run.iterations)),
                    Cell(_number(run.seconds, '.0f')),
                    Cell(_number(run.memory, '.0f')),
                ]
            )
    return Table(
        'Runs',
        ['run', 'candidate', 'seed', f'{METRIC}, %', 'best validation, %', 'iterations', 'seconds', 'memory, MiB'],
        lines,
    )


def left_out_table(comparison: Comparison) -> Table:
    """The runs that are in no row, each with the reason."""
    names = _names(comparison)
    return Table(
        'Left out', ['run', 'reason'], [[Cell(names[run.folder]), Cell(reason)] for run, reason in comparison.left_out]
    )


def chosen_table(comparison: Comparison) -> Table:
    """The varied settings of each candidate of a sweep, with the chosen values."""
    return Table(
        'Chosen',
        ['candidate', 'settings'],
        [
            [Cell(row.name), Cell(', '.join(f'{key} {value}' for key, value in row.chosen.items()))]
            for row in comparison.rows
            if row.chosen
        ],
    )


def tried_table(comparison: Comparison) -> Table:
    """The settings that a sweep tried but did not choose, the best first."""
    rows = sorted(comparison.tried, key=lambda row: -row.miou.mean)
    return Table(
        'Tried',
        ['candidate', 'seeds', f'{METRIC}, %'],
        [[Cell(row.name), Cell(str(row.miou.count)), _spread_cell(row.miou, 2, '')] for row in rows],
    )


def how_to_read(comparison: Comparison) -> list[str]:
    """Explanations of the tables, one or two sentences each."""
    texts = [
        'Mean ± std over seeds, from the last validation. Best: the highest mean. Within: at most one std of the best '
        'below it.'
    ]
    best = next((row for row in comparison.ranked if row.standing == 'best'), None)
    if best is not None and best.miou.std is None:
        texts.append(f'{best.name} has one seed, so its std is unknown, and no row can be within it.')
    texts += _about_gain(comparison)
    texts.append(
        'Seconds: mean logged time of an iteration (with data loading) times the number of iterations, without '
        'validation.'
    )
    if not any(row.memory is not None for row in comparison.rows):
        texts.append('Peak memory is not in the logs: MMEngine logs GPU memory only.')
    if comparison.tried:
        texts.append(
            'For each candidate of a sweep, the highest mean of the settings with the most seeds '
            f'is shown. Other settings tried: {len(comparison.tried)}.'
        )
    return texts


def notes(comparison: Comparison) -> list[str]:
    """Notes below the tables: explanations, chosen settings, differences and runs that were left out."""
    texts = how_to_read(comparison)
    texts += [f'Settings of {name.text}: {settings.text}.' for name, settings in chosen_table(comparison).rows]
    if comparison.differences:
        texts.append('NOT COMPARABLE: ' + '; '.join(map(str, comparison.differences)) + '.')
    reasons: dict[str, list[str]] = defaultdict(list)
    for name, reason in left_out_table(comparison).rows:
        reasons[reason.text].append(name.text)
    texts += [f'Left out, {reason}: {", ".join(names)}.' for reason, names in reasons.items()]
    return texts


def as_text(table: Table) -> str:
    """Aligned columns, with ``*`` after the best result and ``~`` after results within one std of it.

    Example:
        >>> print(as_text(Table('Results', ['', 'mIoU'], [[Cell('cwd'), Cell('60.00', 'best')]])))
              mIoU
        cwd  60.00 *
    """
    marks = {'best': ' *', 'within': ' ~'}
    marked = {i for line in table.rows for i, cell in enumerate(line) if cell.standing}
    lines = [[name + '  ' * (i in marked) for i, name in enumerate(table.header)]]
    lines += [
        [cell.text + (marks.get(cell.standing, '  ') if i in marked else '') for i, cell in enumerate(line)]
        for line in table.rows
    ]
    widths = [max(map(len, column)) for column in zip(*lines)]
    padded = [
        [line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:]))] for line in lines
    ]
    return '\n'.join('  '.join(line).rstrip() for line in padded) + '\n'


def as_markdown(table: Table) -> str:
    """A Markdown table, with the best result in bold and results within one std of it underlined.

    Example:
        >>> print(as_markdown(Table('Results', ['', 'mIoU'], [[Cell('cwd'), Cell('60.00', 'best')]])))
        |     |      mIoU |
        | --- | --------: |
        | cwd | **60.00** |
    """
    marks = {'best': '**{}**', 'within': '<u>{}</u>', '': '{}'}
    rows = [[_escape_markdown(name) for name in table.header]]
    rows += [[marks[cell.standing].format(_escape_markdown(cell.text)) for cell in line] for line in table.rows]
    return markdown_table(rows) + '\n'


def as_latex(table: Table) -> str:
    r"""A ``tabular`` for the package booktabs, with the marks of :func:`as_markdown`.

    Example:
        >>> print(as_latex(Table('Results', ['', 'mIoU'], [[Cell('cwd'), Cell('60.00', 'best')]])))
        % needs \usepackage{booktabs}
        \begin{tabular}{lr}
        \toprule
         & mIoU \\
        \midrule
        cwd & \textbf{60.00} \\
        \bottomrule
        \end{tabular}
    """
    marks = {'best': r'\textbf{%s}', 'within': r'\underline{%s}', '': '%s'}
    lines = [[marks[cell.standing] % _escape_latex(cell.text) for cell in line] for line in table.rows]
    return '\n'.join(
        [
            r'% needs \usepackage{booktabs}',
            r'\begin{tabular}{l' + 'r' * (len(table.header) - 1) + '}',
            r'\toprule',
            ' & '.join(map(_escape_latex, table.header)) + r' \\',
            r'\midrule',
            *(' & '.join(line) + r' \\' for line in lines),
            r'\bottomrule',
            r'\end{tabular}',
            '',
        ]
    )


def main_csv(comparison: Comparison) -> str:
    """The comparison with all digits. The columns are always the same; unknown values are empty."""
    lines: list[Sequence[Any]] = [COLUMNS]
    for row in comparison.rows:
        paired = (row.paired.mean, row.paired.low, row.paired.high, row.paired.pairs) if row.paired else (None,) * 4
        images = row.over_images
        over_images = (images.low, images.high, images.images) if images else (None,) * 3
        fscore = (row.fscore.mean, row.fscore.std) if row.fscore else (None, None)
        lines.append(
            (
                row.name,
                row.role,
                row.miou.count,
                row.miou.mean,
                row.miou.std,
                row.gain,
                *paired,
                row.iterations,
                row.seconds,
                row.memory,
                row.standing,
                *fscore,
                *over_images,
            )
        )
    return csv_table(lines)


def class_csv(comparison: Comparison) -> str:
    """IoU by class with all digits, one line for each row and class."""
    lines: list[Sequence[Any]] = [('candidate', 'class', 'iou_mean', 'iou_std', 'seeds', 'standing')]
    for row in comparison.rows:
        lines += [
            (row.name, name, iou.mean, iou.std, iou.count, row.class_standing.get(name, ''))
            for name, iou in row.class_iou.items()
        ]
    return csv_table(lines)


def _names(comparison: Comparison) -> dict[Path, str]:
    runs = [run for row in comparison.rows + comparison.tried for run in row.runs]
    runs += [run for run, _ in comparison.left_out]
    return dict(zip([run.folder for run in runs], run_names(runs)))


def _about_gain(comparison: Comparison) -> list[str]:
    baseline, rows = comparison.baseline, [row for row in comparison.rows if row.gain is not None]
    if baseline is None:
        return ['No gain is shown, because there is no baseline: train the student without a teacher too.']
    if not rows:
        return []
    texts = [
        f'Gain: the mean minus that of {baseline.name}. Paired: mean difference of runs with the same seed. '
        f'{comparison.confidence * 100:g} % over seeds: what other trainings would give on these images '
        "(Student's t, needs two pairs)."
    ]
    images = max((row.over_images.images for row in rows if row.over_images), default=0)
    if images:
        texts.append(
            f'{comparison.confidence * 100:g} % over images: what other images of the same kind would give with these '
            f'trained networks (paired bootstrap of the gain over {images} validation images). Other trainings are not '
            'in it.'
        )
    reasons: dict[str, list[str]] = defaultdict(list)
    for name, reason in comparison.without_images:
        reasons[reason].append(name)
    texts += [f'No interval over images for {", ".join(names)}: {reason}.' for reason, names in reasons.items()]
    chance, single = baseline.miou.std, [row for row in rows if row.miou.count == 1]
    if single and chance:
        small = sum(abs(row.gain or 0) <= chance for row in single)
        texts.append(
            f'Gains from one seed that are at most the std of {baseline.name} over its seeds ({chance:.2f}): '
            f'{small} of {len(single)}.'
        )
    intervals = sum(row.paired is not None and row.paired.low is not None for row in rows)
    if intervals > 1:
        texts.append(
            f'Of {intervals} intervals over seeds at {comparison.confidence * 100:g} %, '
            f'{intervals * (1 - comparison.confidence):.2g} are expected to miss the true difference.'
        )
    return texts


def _spread_cell(one: Spread | None, digits: int, standing: str) -> Cell:
    if one is None:
        return Cell(NOTHING)
    std = '' if one.std is None else f' ± {one.std:.{digits}f}'
    return Cell(f'{one.mean:.{digits}f}{std}', standing, one.mean)


def _paired_cells(row: Row) -> list[Cell]:
    if row.paired is None:
        return [Cell(NOTHING), Cell(NOTHING), Cell(NOTHING if row.gain is None else '0')]
    return [Cell(f'{row.paired.mean:+.2f}'), _interval_cell(row.paired), Cell(str(row.paired.pairs))]


def _interval_cell(difference: PairedDifference | ImageDifference | None) -> Cell:
    if difference is None or difference.low is None or difference.high is None:
        return Cell(NOTHING)
    return Cell(f'[{difference.low:+.2f}, {difference.high:+.2f}]')


def _number(value: float | None, form: str) -> str:
    return NOTHING if value is None else f'{value:{form}}'


def _escape_markdown(text: str) -> str:
    return re.sub(r'([\\`*_\[\]<>|~#])', r'\\\1', text)


def _escape_latex(text: str) -> str:
    if text == NOTHING:
        return '--'
    # In text mode, LaTeX would show the minus of a negative number as a hyphen.
    return re.sub(r'(?<![\w-])-(?=\d)', '$-$', ''.join(LATEX.get(character, character) for character in text))
