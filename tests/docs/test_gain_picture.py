"""The picture of gains shows the numbers of the table below it."""

from xml.etree import ElementTree

import pytest
from gain_picture import HEADER, gain_picture, rows_of

PAGE = f"""
{HEADER}
|---|---:|---:|
| `PixelWiseKDLoss`, <T = 1> | -1.00 (49.00 ± 0.10) | +2.00 (52.00) |
| hints | stopped | **+4.00** (54.00) |
| holistic | +4.5 (54.5) | -1.5 (48.5) |

Text with 99.9 | after | the table.
"""
SVG = '{http://www.w3.org/2000/svg}'


def test_rows_are_read_with_their_gains():
    assert [(row.name, row.values, row.center, row.low, row.high) for row in rows_of(PAGE)] == [
        ('PixelWiseKDLoss, <T = 1>', [-1.0], 2.0, -1.0, 2.0),
        ('hints', [], 4.0, None, None),
        ('holistic', [4.5], -1.5, -1.5, 4.5),
    ]


def test_the_best_row_is_on_top_whichever_weights_are_better():
    root = ElementTree.fromstring(gain_picture(PAGE))
    assert [one.text for one in root.iter(SVG + 'text') if one.get('class') == 'name'] == [
        'holistic',
        'hints',
        'PixelWiseKDLoss, <T = 1>',
    ]
    places = {
        kind: [float(one.get('cx')) for one in root.iter(SVG + 'circle') if one.get('class') == f'own {kind}']
        for kind in ('faint', 'fill')
    }
    (zero,) = (float(one.get('x1')) for one in root.iter(SVG + 'line') if one.get('class') == 'reference')
    unit = (places['fill'][1] - zero) / 4
    assert [(x - zero) / unit for x in places['faint']] == pytest.approx([4.5, -1.0], abs=0.01)
    assert [(x - zero) / unit for x in places['fill']] == pytest.approx([-1.5, 4.0, 2.0], abs=0.01)


@pytest.mark.parametrize(
    'old, new, message',
    [
        (HEADER, '| a | b |', 'must have a table with the header'),
        ('| stopped | **+4.00** (54.00) |', '| stopped |', 'a row must have 3 columns, .* but is .. hints'),
        ('**+4.00** (54.00)', '54.00', 'a gain with its sign in the last one, but is .. hints'),
    ],
)
def test_a_page_without_the_numbers_is_refused(old, new, message):
    with pytest.raises(ValueError, match=message):
        gain_picture(PAGE.replace(old, new))
