import re
from xml.etree import ElementTree

import pytest

from mmseg_kd.comparison.statistics import Spread
from mmseg_kd.comparison.svg_charts import Estimate, Line, dot_chart, line_chart, nice_ticks, slice_chart, thin


def parse(text):
    """The chart as a tree, if it is well-formed XML."""
    return ElementTree.fromstring(text)


def circles(chart, kind):
    return [(float(c.get('cx')), float(c.get('cy'))) for c in chart.iter('circle') if kind in c.get('class').split()]


def points(polyline):
    return [tuple(map(float, pair.split(','))) for pair in polyline.get('points').split()]


@pytest.mark.parametrize(
    'low, high, ticks',
    [
        (0, 100, [0, 25, 50, 75, 100]),
        (28.3, 34.8, [28, 30, 32, 34, 36]),
        (0.001, 0.0033, [0.001, 0.002, 0.003, 0.004]),
        (-3.2, 4.1, [-4, -2, 0, 2, 4, 6]),
        (5, 5, [2, 4, 6, 8]),
        (0, 0, [-0.5, -0.25, 0, 0.25, 0.5]),
    ],
)
def test_ticks_are_round_and_contain_the_range(low, high, ticks):
    found = nice_ticks(low, high)
    assert found[2] == pytest.approx(ticks) and (found[0], found[1]) == (found[2][0], found[2][-1])
    assert found[0] <= low and high <= found[1]


def test_long_lines_are_averaged():
    found = thin([(x, 10 * x) for x in range(1000)], 100)
    assert len(found) == 100 and found[0] == (4.5, 45.0) and found[-1] == (994.5, 9945.0)
    assert thin([(1, 2), (3, 4)], 100) == [(1.0, 2.0), (3.0, 4.0)] and thin([], 5) == []


def test_lines_go_where_their_values_are():
    chart = parse(
        line_chart([Line('own <1>', 'own', [(0, 10), (150, 20), (300, 30)])], (0, 300), (10, 30), 'iterations', 'mIoU')
    )
    (line,) = chart.iter('polyline')
    (x0, y0), (x1, y1), (x2, y2) = points(line)
    assert x0 < x1 < x2 and x1 - x0 == pytest.approx(x2 - x1, abs=0.11)
    assert y0 > y1 > y2 and y0 - y1 == pytest.approx(y1 - y2, abs=0.11)  # upwards on the screen
    assert line.find('title').text == 'own <1>' and 'iterations' in [text.text for text in chart.iter('text')]


def test_a_single_validation_is_a_dot():
    chart = parse(line_chart([Line('a', 'base', [(300, 10)])], (0, 300), (10, 10), 'x', 'y'))
    assert len(circles(chart, 'base')) == 1 and not list(chart.iter('polyline'))


def test_a_few_values_are_equally_spaced():
    chart = parse(
        slice_chart([(8.0, Spread(1.0, None, 1)), (1.0, Spread(2.0, 0.5, 2)), (2.0, Spread(3.0, None, 1))], 'T', 'mIoU')
    )
    (x0, y0), (x1, y1) = circles(chart, 'own')
    ((best_x, best_y),) = circles(chart, 'best')
    assert best_x - x0 == pytest.approx(x1 - best_x, abs=0.11) and best_y < y0 < y1
    (std,) = [line for line in chart.iter('line') if 'own' in line.get('class')]
    assert float(std.get('x1')) == x0 and float(std.get('y2')) < y0 < float(std.get('y1'))
    assert {'1', '2', '8'} <= {text.text for text in chart.iter('text')}
    assert 'T 1: 2.00 ± 0.50' in [title.text for title in chart.iter('title')]


def test_many_values_over_many_magnitudes_have_a_logarithmic_axis():
    chart = parse(slice_chart([(10.0 ** (-i / 4), Spread(float(i), None, 1)) for i in range(13)], 'lr', 'mIoU'))
    places = sorted(x for x, _ in circles(chart, 'fill'))
    steps = [b - a for a, b in zip(places, places[1:])]
    assert max(steps) - min(steps) < 0.3 and {'0.001', '0.01', '0.1', '1'} <= {text.text for text in chart.iter('text')}


def test_many_values_of_one_magnitude_have_a_linear_axis():
    chart = parse(slice_chart([(float(i * i), Spread(1.0, None, 1)) for i in range(12)], 'T', 'mIoU'))
    places = sorted(x for x, _ in circles(chart, 'fill'))
    assert (places[2] - places[1]) / (places[1] - places[0]) == pytest.approx(3, abs=0.1)


def test_estimates_have_a_common_axis():
    rows = [
        Estimate('a', 'base', [1.0, 3.0], 2.0, 1.0, 3.0, 'a: 2'),
        Estimate('b & <c>', 'own', [4.0], 4.0, None, None, 'b'),
    ]
    chart = parse(dot_chart(rows, 'mIoU, %', 2.0))
    ((center, _),) = circles(chart, 'base')[2:]
    (line,) = [line for line in chart.iter('line') if 'stroke' in line.get('class')]
    (reference,) = [line for line in chart.iter('line') if line.get('class') == 'reference']
    assert float(line.get('x1')) < center < float(line.get('x2')) and float(reference.get('x1')) == center
    assert (float(line.get('x1')) + float(line.get('x2'))) / 2 == pytest.approx(center, abs=0.11)
    assert [text.text for text in chart.iter('text') if text.get('class') == 'name'] == ['a', 'b & <c>']
    assert circles(chart, 'own')[-1][0] > float(line.get('x2'))


def test_the_page_sets_the_colors():
    chart = line_chart([Line('a', 'own', [(0, 1), (1, 2)])], (0, 1), (1, 2), 'x', 'y')
    assert not re.search(r'(fill|stroke|color)="', chart) and 'http' not in chart
