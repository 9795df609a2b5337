"""SVG charts whose elements have classes, so that the page sets the colors.

matplotlib's SVG has fixed colors (no dark mode) and no tooltips, and a chart takes 0.1 s instead of 2 ms.
"""

import math
from collections.abc import Callable, Sequence
from html import escape
from typing import NamedTuple

from .statistics import Spread

TICKS = 4
ORDINAL = 10
LINE_POINTS = 150
NAME_LENGTH = 32


class Line(NamedTuple):
    """One line of a chart.

    Args:
        name: tooltip of the line.
        kind: class of the element, ``'own'`` or ``'base'``.
        points: pairs of x and y, ordered by x.

    Example:
        >>> Line('cwd', 'own', [(0, 1.0), (10, 0.5)]).name
        'cwd'
    """

    name: str
    kind: str
    points: Sequence[tuple[float, float]]


class Estimate(NamedTuple):
    """One row of a :func:`dot_chart`.

    Args:
        name: label of the row.
        kind: class of the elements, ``'own'`` or ``'base'``.
        values: single measurements.
        center: center of the interval.
        low: lower end of the interval; None without an interval.
        high: upper end of the interval; None without an interval.
        text: tooltip of the row.

    Example:
        >>> Estimate('cwd', 'own', [60.0, 61.0], 60.5, 60.0, 61.0, 'two seeds').center
        60.5
    """

    name: str
    kind: str
    values: Sequence[float]
    center: float
    low: float | None
    high: float | None
    text: str


def line_chart(
    lines: Sequence[Line], x_range: tuple[float, float], y_range: tuple[float, float], x_label: str, y_label: str
) -> str:
    """Lines over a common grid. Long lines are averaged to fewer points; a line with a single point is a dot.

    Args:
        lines: lines from back to front.
        x_range: ends of the x axis.
        y_range: ends of the y axis, which is extended to round numbers.
        x_label: name of the x axis.
        y_label: name of the y axis.

    Example:
        >>> line_chart([Line('cwd', 'own', [(0, 1.0), (10, 0.5)])], (0, 10), (0, 1), 'iteration', 'loss')[:4]
        '<svg'
    """
    frame = _Frame(320, 190, x_range, y_range)
    parts = frame.axes(x_label, y_label)
    for line in lines:
        places = [(frame.x(x), frame.y(y)) for x, y in thin(line.points, LINE_POINTS)]
        title = f'<title>{escape(line.name)}</title>'
        if len(places) == 1:
            parts.append(
                f'<circle class="{line.kind} fill" cx="{places[0][0]:.1f}" cy="{places[0][1]:.1f}" r="3.5">{title}'
                '</circle>'
            )
        elif places:
            path = ' '.join(f'{x:.1f},{y:.1f}' for x, y in places)
            parts.append(f'<polyline class="{line.kind} stroke" points="{path}">{title}</polyline>')
    return frame.svg(parts, f'{y_label} over {x_label}')


def slice_chart(points: Sequence[tuple[float, Spread]], x_label: str, y_label: str) -> str:
    """Results over the values of one setting, with error bars of one std.

    A few values are equally spaced. Many values have an axis, which is logarithmic if they span more than a factor of
    30.

    Args:
        points: pairs of value and result, in any order.
        x_label: name of the setting.
        y_label: name of the result.

    Example:
        >>> from mmseg_kd.comparison.statistics import Spread
        >>> slice_chart([(0.1, Spread(60.0, None, 1)), (0.2, Spread(61.0, None, 1))], 'lr', 'mIoU')[:4]
        '<svg'
    """
    points = sorted(points, key=lambda point: point[0])
    values = sorted({value for value, _ in points})
    spans = [(one.mean - (one.std or 0), one.mean + (one.std or 0)) for _, one in points]
    y_range = min(low for low, _ in spans), max(high for _, high in spans)
    if len(values) <= ORDINAL:
        frame = _Frame(
            320, 190, (-0.5, len(values) - 0.5), y_range, [(i, f'{value:g}') for i, value in enumerate(values)]
        )
        place: Callable[[float], float] = values.index
    elif values[0] > 0 and values[-1] > 30 * values[0]:
        exponents = range(math.floor(math.log10(values[0])), math.ceil(math.log10(values[-1])) + 1)
        frame = _Frame(320, 190, (exponents[0], exponents[-1]), y_range, [(e, f'{10.0**e:g}') for e in exponents])
        place = math.log10
    else:
        frame = _Frame(320, 190, (values[0], values[-1]), y_range)
        place = float
    parts = frame.axes(x_label, y_label)
    if len(values) == len(points):
        path = ' '.join(f'{frame.x(place(value)):.1f},{frame.y(one.mean):.1f}' for value, one in points)
        parts.append(f'<polyline class="own stroke thin" points="{path}"/>')
    best = max(one.mean for _, one in points)
    for (value, one), (low, high) in zip(points, spans):
        x = frame.x(place(value))
        std = '' if one.std is None else f' ± {one.std:.2f}'
        if one.std:
            parts.append(
                f'<line class="own stroke" x1="{x:.1f}" x2="{x:.1f}" y1="{frame.y(low):.1f}" y2="{frame.y(high):.1f}"/>'
            )
        parts.append(
            f'<circle class="{"best" if one.mean == best else "own"} fill" cx="{x:.1f}" '
            f'cy="{frame.y(one.mean):.1f}" r="4"><title>{escape(x_label)} {value:g}: {one.mean:.2f}{std}'
            '</title></circle>'
        )
    return frame.svg(parts, f'{y_label} by {x_label}')


def dot_chart(estimates: Sequence[Estimate], x_label: str, reference: float | None) -> str:
    """One row for each estimate, on a common axis: measurements as small dots, and the center with its interval.

    Args:
        estimates: rows from top to bottom.
        x_label: name of the axis.
        reference: position of a vertical line; None for no line.

    Example:
        >>> dot_chart([Estimate('cwd', 'own', [60.0], 60.0, None, None, '')], 'mIoU', None)[:4]
        '<svg'
    """
    names = [one.name if len(one.name) <= NAME_LENGTH else f'{one.name[: NAME_LENGTH - 1]}…' for one in estimates]
    step, left = 24, 14 + 6.6 * max(map(len, names))
    ends = [
        value
        for one in estimates
        for value in (*one.values, one.center, one.low, one.high, reference)
        if value is not None
    ]
    frame = _Frame(round(left) + 340, step * len(estimates) + 44, (0, 1), (0, 1), left=left, top=6)
    low, high, ticks = nice_ticks(min(ends), max(ends))
    frame.x_range = (low, high)
    bottom = frame.height - 38
    parts = []
    for tick in ticks:
        x = frame.x(tick)
        parts.append(
            f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="4" y2="{bottom}"/>'
            f'<text class="tick" x="{x:.1f}" y="{bottom + 15}" text-anchor="middle">{tick:g}</text>'
        )
    parts.append(
        f'<text class="label" x="{(left + frame.width) / 2:.1f}" y="{frame.height - 5}" text-anchor="middle">'
        f'{escape(x_label)}</text>'
    )
    if reference is not None:
        x = frame.x(reference)
        parts.append(f'<line class="reference" x1="{x:.1f}" x2="{x:.1f}" y1="4" y2="{bottom}"/>')
    for i, (one, name) in enumerate(zip(estimates, names)):
        y = 6 + step * (i + 0.5)
        parts.append(
            f'<g><title>{escape(one.text)}</title><rect class="hover" x="0" y="{y - step / 2:.1f}" '
            f'width="{frame.width}" height="{step}"/><text class="name" x="{left - 8:.1f}" y="{y + 4:.1f}" '
            f'text-anchor="end">{escape(name)}</text>'
        )
        if one.low is not None and one.high is not None:
            parts.append(
                f'<line class="{one.kind} stroke" x1="{frame.x(one.low):.1f}" x2="{frame.x(one.high):.1f}" '
                f'y1="{y:.1f}" y2="{y:.1f}"/>'
            )
        parts += [
            f'<circle class="{one.kind} faint" cx="{frame.x(value):.1f}" cy="{y:.1f}" r="3"/>' for value in one.values
        ]
        parts.append(f'<circle class="{one.kind} fill" cx="{frame.x(one.center):.1f}" cy="{y:.1f}" r="4.5"/></g>')
    return frame.svg(parts, x_label)


def thin(points: Sequence[tuple[float, float]], most: int) -> list[tuple[float, float]]:
    """Means of groups of neighboring points.

    Args:
        points: pairs of x and y.
        most: maximum number of resulting points.

    Example:
        >>> thin([(0, 1.0), (1, 3.0), (2, 5.0), (3, 7.0)], most=2)
        [(0.5, 2.0), (2.5, 6.0)]
    """
    size = math.ceil(len(points) / most) if points else 1
    chunks = [points[i : i + size] for i in range(0, len(points), size)]
    return [(sum(x for x, _ in chunk) / len(chunk), sum(y for _, y in chunk) / len(chunk)) for chunk in chunks]


def nice_ticks(low: float, high: float) -> tuple[float, float, list[float]]:
    """An axis of round numbers that contains a range: its ends, and the ticks.

    Args:
        low: smallest value.
        high: largest value; may equal ``low``.

    Example:
        >>> nice_ticks(28.3, 34.8)
        (28.0, 36.0, [28.0, 30.0, 32.0, 34.0, 36.0])
    """
    if low == high:
        low, high = low - 0.5 * (abs(low) or 1), high + 0.5 * (abs(high) or 1)
    raw = (high - low) / TICKS
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    ticks = [round(i * step, 12) for i in range(first, last + 1)]
    return ticks[0], ticks[-1], ticks


class _Frame:
    """The axes of a chart, which map values to pixels.

    Args:
        width: width of the chart, in pixels.
        height: height of the chart, in pixels.
        x_range: ends of the x axis.
        y_range: ends of the y axis, which is extended to round numbers.
        x_ticks: values with their labels; round numbers if None.
        left: margin for labels on the left, in pixels.
        top: margin at the top, in pixels.
    """

    def __init__(
        self,
        width: float,
        height: float,
        x_range: tuple[float, float],
        y_range: tuple[float, float],
        x_ticks: Sequence[tuple[float, str]] | None = None,
        left: float = 44,
        top: float = 8,
    ) -> None:
        self.width, self.height, self.left, self.top = width, height, left, top
        self.x_range = x_range if x_range[0] < x_range[1] else (x_range[0] - 1, x_range[1] + 1)
        self.x_ticks = x_ticks
        low, high, self.y_ticks = nice_ticks(*y_range)
        self.y_range = low, high

    def x(self, value: float) -> float:
        low, high = self.x_range
        return self.left + (value - low) / (high - low) * (self.width - self.left - 14)

    def y(self, value: float) -> float:
        low, high = self.y_range
        return self.height - 38 - (value - low) / (high - low) * (self.height - 38 - self.top)

    def axes(self, x_label: str, y_label: str) -> list[str]:
        ticks = self.x_ticks
        if ticks is None:
            ticks = [
                (tick, f'{tick:g}')
                for tick in nice_ticks(*self.x_range)[2]
                if self.x_range[0] <= tick <= self.x_range[1]
            ]
        bottom = self.height - 38
        parts = [
            f'<line class="grid" x1="{self.left:.1f}" x2="{self.width - 14}" y1="{self.y(tick):.1f}" '
            f'y2="{self.y(tick):.1f}"/><text class="tick" x="{self.left - 6:.1f}" y="{self.y(tick) + 4:.1f}" '
            f'text-anchor="end">{tick:g}</text>'
            for tick in self.y_ticks
        ]
        parts += [
            f'<text class="tick" x="{self.x(tick):.1f}" y="{bottom + 15}" text-anchor="middle">{escape(text)}</text>'
            for tick, text in ticks
        ]
        parts.append(
            f'<text class="label" x="{(self.left + self.width) / 2:.1f}" y="{self.height - 5}" '
            f'text-anchor="middle">{escape(x_label)}</text>'
        )
        parts.append(
            f'<text class="label" transform="translate(11 {(self.top + bottom) / 2:.1f}) rotate(-90)" '
            f'text-anchor="middle">{escape(y_label)}</text>'
        )
        return parts

    def svg(self, parts: Sequence[str], title: str) -> str:
        return (
            f'<svg viewBox="0 0 {self.width:g} {self.height:g}" style="width:{self.width:g}px" role="img" '
            f'aria-label="{escape(title)}">' + ''.join(parts) + '</svg>'
        )
