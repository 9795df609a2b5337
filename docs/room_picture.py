"""The picture of the rooms in CONTRIBUTING.md, from the order that tests/test_rooms.py enforces."""

import ast
import re
from pathlib import Path

START, END = '<!-- rooms: written by `python tools/make_docs.py` -->\n', '<!-- end of rooms -->'
WIDTH = 48


def floors_of(test: Path) -> list[list[str]]:
    """The value of ``FLOORS`` in the test, from the top floor down."""
    for node in ast.parse(test.read_text(encoding='utf-8')).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], 'id', '') == 'FLOORS':
            return ast.literal_eval(node.value)
    raise ValueError(f'{test} must assign FLOORS, the rooms from the top floor down')


def room_picture(floors: list[list[str]]) -> str:
    """One box per floor; a room may import the rooms of the boxes below its own."""
    rule = f'+{"-" * WIDTH}+'
    rows = [f'|{"     ".join(rooms):^{WIDTH}}|' for rooms in floors]
    return '\n'.join(['top floor', rule, *(f'{row}\n{rule}' for row in rows), 'imports point down only'])


def with_room_picture(page: str, floors: list[list[str]]) -> str:
    """The page with the picture of these floors between its two marks."""
    picture = f'{START}\n```text\n{room_picture(floors)}\n```\n\n{END}'
    page, found = re.subn(f'{re.escape(START)}.*?{re.escape(END)}', lambda _: picture, page, flags=re.DOTALL)
    if found != 1:
        raise ValueError(f'CONTRIBUTING.md must hold {START.strip()} and {END} once, but has them {found} times')
    return page
