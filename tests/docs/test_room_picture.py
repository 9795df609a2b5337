"""The picture of the rooms is that of the order which is enforced."""

from pathlib import Path

import pytest
from room_picture import END, START, floors_of, room_picture, with_room_picture

ROOT = Path(__file__).resolve().parents[2]


def test_the_floors_are_those_of_the_test():
    floors = floors_of(ROOT / 'tests' / 'test_rooms.py')
    assert ['losses'] in floors and floors.index(['engine']) < floors.index(['losses'])


def test_the_floors_are_boxes_from_the_top_down():
    lines = room_picture([['sweep', 'doctor'], ['engine']]).splitlines()
    assert [line.strip('| ').split() for line in lines if line.startswith('|')] == [['sweep', 'doctor'], ['engine']]


def test_the_picture_replaces_what_is_between_its_marks():
    page = with_room_picture(f'before\n{START}old{END}\nafter', [['engine']])
    assert page.startswith('before\n') and page.endswith('\nafter') and 'old' not in page and 'engine' in page


def test_a_page_without_marks_is_refused():
    with pytest.raises(ValueError, match='^CONTRIBUTING.md must hold .* but has them 0 times$'):
        with_room_picture('nothing', [['engine']])


def test_a_test_without_floors_is_refused(tmp_path):
    (tmp_path / 'test_rooms.py').write_text('x = 1')
    with pytest.raises(ValueError, match='must assign FLOORS'):
        floors_of(tmp_path / 'test_rooms.py')
