"""The picture of gains shows the numbers of the table below it."""

from xml.etree import ElementTree

import pytest
from gain_picture import HEADER, LEFT, PLOT, Row, gain_picture, rows_of

PAGE = f"""
Alone, the student has **50.00 ± 0.50** (three seeds).

{HEADER}
|---|---:|---:|
| `PixelWiseKDLoss`, <T = 1> | -1.00 (49.00 ± 0.10) | +2.00 (52.00) |
| hints | | **+4.00 (54.00)** |
| holistic | -1.5 (48.5) | not run |

Text with 99.9 | after | the table.
"""
SVG = '{http://www.w3.org/2000/svg}'


def elements(picture, tag, kind):
    return [one for one in ElementTree.fromstring(picture).iter(SVG + tag) if one.get('class') == kind]


def test_rows_are_read_with_their_gains():
    assert rows_of(PAGE) == [
        Row('PixelWiseKDLoss, <T = 1>', -1.0, 2.0),
        Row('hints', None, 4.0),
        Row('holistic', -1.5, None),
    ]


def test_places_are_proportional_to_the_numbers():
    picture = gain_picture(PAGE)
    # From 0.5 below the lowest number to 0.5 above the highest: -2 to 4.5.
    scale = PLOT / 6.5
    (line,) = elements(picture, 'line', 'alone')
    assert float(line.get('x1')) == pytest.approx(LEFT + 2 * scale, abs=0.05)
    (std,) = elements(picture, 'rect', 'std')
    assert (float(std.get('x')), float(std.get('width'))) == pytest.approx((LEFT + 1.5 * scale, scale), abs=0.05)
    # The first circle of each kind is that of the legend. The best row is on top, whichever weights are better.
    published = [
        round((float(one.get('cx')) - LEFT) / scale - 2, 2) for one in elements(picture, 'circle', 'published')[1:]
    ]
    tuned = [round((float(one.get('cx')) - LEFT) / scale - 2, 2) for one in elements(picture, 'circle', 'tuned')[1:]]
    assert (tuned, published) == ([4.0, 2.0], [-1.0, -1.5])
    assert len(elements(picture, 'line', 'pair')) == 1
    ticks = [one.text for one in elements(picture, 'text', 'small') if one.text.lstrip('+-').isdigit()]
    assert ticks == ['-2', '-1', '0', '+1', '+2', '+3', '+4']
    assert [one.text for one in elements(picture, 'text', '')][2:] == ['hints', 'PixelWiseKDLoss, <T = 1>', 'holistic']


@pytest.mark.parametrize(
    'old, new, message',
    [
        (HEADER, '| a | b |', 'must have a table with the header'),
        ('Alone, the student', 'The student', 'must say "Alone, the student has'),
        ('| holistic | -1.5 (48.5) | not run |', '| holistic | -1.5 |', "a row must have 3 columns, but '| holistic"),
        ('| holistic | -1.5 (48.5) | not run |', '| holistic | | |', 'the row of holistic must have a number'),
    ],
)
def test_a_page_without_the_numbers_is_refused(old, new, message):
    with pytest.raises(ValueError, match=message):
        gain_picture(PAGE.replace(old, new))
