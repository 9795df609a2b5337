"""Output files of a comparison: tables, and one self-contained HTML page."""

import base64
import io
import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..constants import IGNORE_INDEX
from ..io.files import write_atomically
from ..io.runs import METRIC, Curve, Run
from ..visualization.picture_grid import color_labels
from .comparability import short_keys
from .comparison import Comparison, Row, Variation
from .comparison_tables import (
    NOTHING,
    Cell,
    Table,
    as_latex,
    as_markdown,
    as_text,
    chosen_table,
    class_csv,
    class_table,
    how_to_read,
    left_out_table,
    main_csv,
    main_table,
    notes,
    run_table,
    tried_table,
)
from .image_bootstrap import ImageDifference
from .predictions import Predictions
from .statistics import PairedDifference, Spread
from .svg_charts import Estimate, Line, dot_chart, line_chart, slice_chart

TEMPLATE = Path(__file__).with_name('report.html.jinja')
GRID_SIDE = 12
PICTURE_SIDE = 360


def text_report(comparison: Comparison) -> str:
    """The tables and their explanations, for a terminal."""
    tables = [table for table in (main_table(comparison), class_table(comparison)) if table is not None]
    texts = [as_text(table) for table in tables]
    texts[1:] = [f'{table.title}\n\n{text}' for table, text in zip(tables[1:], texts[1:])]
    facts = [f'{label}: {text}' for label, text in comparison.facts]
    return '\n'.join(['\n'.join(facts) + '\n', *texts, '* best   ~ within one std of the best', *notes(comparison), ''])


def write_tables(comparison: Comparison, folder: str | Path) -> list[Path]:
    """Write ``comparison.{txt,md,csv,tex}`` and ``class_iou.{md,csv,tex}``.

    Args:
        comparison: comparison to write.
        folder: output folder, created if needed.

    Returns:
        list: paths of the written files; without ``class_iou`` if no log has the IoU by class.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    main, classes = main_table(comparison), class_table(comparison)
    files = {
        'comparison.txt': text_report(comparison),
        'comparison.md': as_markdown(main) + '\n' + '\n'.join(f'- {note}' for note in notes(comparison)) + '\n',
        'comparison.csv': main_csv(comparison),
        'comparison.tex': as_latex(main),
    }
    if classes is not None:
        files.update(
            {
                'class_iou.md': as_markdown(classes),
                'class_iou.csv': class_csv(comparison),
                'class_iou.tex': as_latex(classes),
            }
        )
    for name, text in files.items():
        write_atomically(folder / name, text)
    return [folder / name for name in files]


def page(comparison: Comparison, predictions: Predictions | None = None, title: str = 'Comparison') -> str:
    """One HTML page that contains its tables, charts and pictures, and loads no other file.

    Args:
        comparison: comparison to show.
        predictions: predictions to show side by side; None for none.
        title: title of the page.

    Raises:
        ImportError: if jinja2 is not installed.
    """
    try:
        from jinja2 import Environment, StrictUndefined
    except ImportError as error:
        raise ImportError("the page needs jinja2: pip install 'mmseg-kd[report]'") from error
    environment = Environment(autoescape=True, undefined=StrictUndefined)
    settings: dict[str, Any] = dict(
        title=title,
        comparison=comparison,
        main=main_table(comparison),
        kinds=[row.role for row in comparison.rows],
        notes=how_to_read(comparison),
        overview=_overview(comparison),
        over_images=_difference_chart(comparison, lambda row: row.over_images, 'images'),
        paired=_difference_chart(comparison, lambda row: row.paired, 'pairs'),
        curves=_curves(comparison),
        variations=[_variation(variation) for variation in comparison.variations],
        classes=class_table(comparison),
        percent=lambda value: f'{value / 100 * 0.55:.2f}',
        chosen=chosen_table(comparison),
        runs=run_table(comparison),
        tried=tried_table(comparison),
        left_out=left_out_table(comparison),
        **_scenes(comparison, predictions),
    )
    return environment.from_string(TEMPLATE.read_text(encoding='utf-8')).render(settings) + '\n'


def _overview(comparison: Comparison) -> str:
    estimates = []
    for row in comparison.ranked:
        reach = row.miou.std
        low, high = (None, None) if reach is None else (row.miou.mean - reach, row.miou.mean + reach)
        estimates.append(
            Estimate(
                row.name,
                _kind(row),
                [run.miou for run in row.runs],
                row.miou.mean,
                low,
                high,
                f'{row.name}: {_mean_and_std(row.miou)}',
            )
        )
    baseline = comparison.baseline
    return dot_chart(estimates, f'{METRIC}, %', None if baseline is None else baseline.miou.mean)


def _difference_chart(
    comparison: Comparison, get: Callable[[Row], PairedDifference | ImageDifference | None], unit: str
) -> str | None:
    known = [(row, found) for row in comparison.ranked if (found := get(row)) is not None and found.low is not None]
    if not known:
        return None
    estimates = [
        Estimate(
            row.name,
            'own',
            [],
            found.mean,
            found.low,
            found.high,
            f'{row.name}: {found.mean:+.2f} [{found.low:+.2f}, {found.high:+.2f}], {getattr(found, unit)} {unit}',
        )
        for row, found in known
    ]
    return dot_chart(estimates, f'difference in {METRIC}, percentage points', 0.0)


def _curves(comparison: Comparison) -> list[dict[str, Any]]:
    runs = [run for row in comparison.ranked for run in row.runs]
    validated = any(len(run.validations) > 1 for run in runs)
    logged = any(_losses(run) for run in runs)
    return [
        dict(
            title=f'{METRIC} of the validations',
            panels=_panels(comparison, _validations, f'{METRIC}, %') if validated else [],
            absent='Not shown: every run was validated once, at its end.',
        ),
        dict(
            title="The decode head's own loss in training",
            panels=_panels(comparison, _losses, 'loss') if logged else [],
            absent='Not shown: no log has a loss of the decode head.',
        ),
    ]


def _panels(comparison: Comparison, get: Callable[[Run], Curve], label: str) -> list[tuple[str, str]]:
    """One small chart for each row, all with the same axes, and with the baseline in the background."""
    samples = [sample for row in comparison.ranked for run in row.runs for sample in get(run)]
    x_range = 0, max(x for x, _ in samples)
    y_range = min(y for _, y in samples), max(y for _, y in samples)
    base = _lines(comparison.baseline, get) if comparison.baseline else []
    panels = []
    for row in comparison.ranked:
        lines = base if row is comparison.baseline else base + _lines(row, get)
        panels.append((row.name, line_chart(lines, x_range, y_range, 'iterations', label)))
    return panels


def _validations(run: Run) -> Curve:
    return _finite(run.validations)


def _losses(run: Run) -> Curve:
    return _finite(run.losses)


def _lines(row: Row, get: Callable[[Run], Curve]) -> list[Line]:
    return [Line(f'{row.name}, seed {run.seed}', _kind(row), get(run)) for run in row.runs]


def _finite(curve: Curve) -> Curve:
    return [(iteration, value) for iteration, value in curve if math.isfinite(value)]


def _variation(variation: Variation) -> dict[str, Any]:
    short = short_keys(variation.keys)
    shown: dict[str, Any] = dict(title=variation.name, map=None, charts=[], table=None)
    sides = [_ordered(values[i] for values, _ in variation.results) for i in range(len(variation.keys))]
    if len(sides) == 2 and all(1 < len(side) <= GRID_SIDE for side in sides):
        means = [one.mean for _, one in variation.results]
        low, high = min(means), max(means)
        shown.update(
            map=_heat_map(variation, sides, high),
            rows=short[variation.keys[0]],
            columns=short[variation.keys[1]],
            shades=lambda value: f'{0.05 + 0.6 * (value - low) / ((high - low) or 1):.2f}',
        )
        return shown
    for i, key in enumerate(variation.keys):
        points = [(values[i], one) for values, one in variation.results if _is_number(values[i])]
        if len({value for value, _ in points}) > 1:
            shown['charts'].append(slice_chart(points, short[key], f'{METRIC}, %'))
    if not shown['charts']:
        lines = [
            [*(Cell(str(value)) for value in values), Cell(_mean_and_std(one))] for values, one in variation.results
        ]
        shown['table'] = Table('', [*short.values(), f'{METRIC}, %'], lines)
    return shown


def _heat_map(variation: Variation, sides: Sequence[Sequence[Any]], high: float) -> Table:
    found = dict(variation.results)
    lines = []
    for down in sides[0]:
        line = [Cell(_value(down))]
        for across in sides[1]:
            one = found.get((down, across))
            best = one is not None and one.mean == high
            line.append(Cell(NOTHING) if one is None else Cell(_mean_and_std(one), 'best' * best, one.mean))
        lines.append(line)
    return Table('', ['', *map(_value, sides[1])], lines)


def _scenes(comparison: Comparison, predictions: Predictions | None) -> dict[str, Any]:
    if predictions is None:
        return dict(scenes=[], legend=[], no_predictions=['Not shown: --predictions N adds N images.'])
    palette = predictions.palette
    scenes = []
    for i, (image, truth) in enumerate(zip(predictions.images, predictions.truth)):
        scene = [('image', _picture(image, 'JPEG'), ''), ('truth', _picture(color_labels(truth, palette), 'PNG'), '')]
        for row in comparison.rows:
            if row.name in predictions.labels:
                labels = predictions.labels[row.name][i]
                scene.append((row.name, _picture(color_labels(labels, palette), 'PNG'), _accuracy(labels, truth)))
        scenes.append(scene)
    reasons: dict[str, list[str]] = defaultdict(list)
    for name, reason in predictions.missing:
        reasons[reason].append(name)
    legend = [(name, ', '.join(map(str, color))) for name, color in zip(predictions.classes, palette)]
    return dict(
        scenes=scenes,
        legend=legend,
        no_predictions=[f'Not shown: {", ".join(names)} ({reason}).' for reason, names in reasons.items()],
    )


def _picture(pixels: np.ndarray, kind: str) -> str:
    """Pixels (H, W, 3) as a data URL."""
    picture = Image.fromarray(pixels)
    share = PICTURE_SIDE / max(picture.size)
    if share < 1:
        size = [max(1, round(side * share)) for side in picture.size]
        picture = picture.resize(size, Image.Resampling.NEAREST if kind == 'PNG' else Image.Resampling.BILINEAR)
    if kind == 'PNG':
        picture = picture.quantize(256, dither=Image.Dither.NONE)
    file = io.BytesIO()
    picture.save(file, kind)
    return f'data:image/{kind.lower()};base64,{base64.b64encode(file.getvalue()).decode()}'


def _accuracy(labels: np.ndarray, truth: np.ndarray) -> str:
    known = truth != IGNORE_INDEX
    if labels.shape != truth.shape or not known.any():
        return ''
    return f'{100 * (labels == truth)[known].mean():.0f} %'


def _kind(row: Row) -> str:
    return 'base' if row.role == 'baseline' else 'own'


def _mean_and_std(one: Spread) -> str:
    return f'{one.mean:.2f}' + ('' if one.std is None else f' ± {one.std:.2f}')


def _ordered(values: Any) -> list[Any]:
    return sorted(set(values), key=lambda value: (not _is_number(value), value if _is_number(value) else 0, str(value)))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _value(value: Any) -> str:
    return f'{value:g}' if _is_number(value) else 'not set' if value is None else str(value)
