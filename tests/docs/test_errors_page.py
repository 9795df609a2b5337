"""The page on errors quotes messages that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / 'docs' / 'errors.md').read_text(encoding='utf-8')
# A message is split over lines of source, between quotes.
SOURCE = re.sub(
    r"'\s*f?'",
    '',
    '\n'.join(
        path.read_text(encoding='utf-8') for path in (ROOT / 'mmseg_kd').rglob('*.py') if '.mim' not in path.parts
    ),
)
OURS = PAGE[: PAGE.index('## Installation')]


@pytest.mark.parametrize('message', re.findall(r'^\| `([^`]+)`', OURS, re.MULTILINE))
def test_a_message_that_the_page_explains_is_one_of_ours(message):
    assert all(part in SOURCE for part in message.split(' ... '))
