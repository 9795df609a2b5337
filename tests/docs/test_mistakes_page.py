"""Every mistake in docs/mistakes.md ends a tool as the page says.

``MMSEG_KD_UPDATE_DOCS=1 python -m pytest tests/docs/test_mistakes_page.py`` writes the page.
"""

import logging
import math
import os
import re
from pathlib import Path

import pytest
from mistakes import ACTIONS, CASES, GONE, changed, good_config, start

from mmseg_kd.io.errors import report

PAGE = Path(__file__).resolve().parents[2] / 'docs' / 'mistakes.md'
INTRODUCTION = """# Mistakes and their messages

A mistake in a config ends a tool with one line and status 2, before anything is trained. The line names the key, the value that came, and
what to do. These are the lines for {number} mistakes, each of which is one change of a good config. The test that runs them writes this page.

[Errors](errors.md) explains the messages that come up most.
"""


@pytest.fixture(scope='module')
def messages(tmp_path_factory):
    """The lines for each mistake, by section and mistake; and what each must name."""
    folder, before = tmp_path_factory.mktemp('mistakes'), os.getcwd()
    os.chdir(folder)
    logging.disable(logging.WARNING)
    settings = good_config().to_dict()
    Path('good.py').write_text('\n'.join(f'{key} = {value!r}' for key, value in settings.items()))
    try:
        found = {
            section: [(shown(case), said(lambda: start(changed(case.path, case.value))), case) for case in cases]
            for section, cases in CASES.items()
        }
        found['Files and the command line'] = [(name, said(action), named) for name, (action, named) in ACTIONS.items()]
    finally:
        logging.disable(logging.NOTSET)
        os.chdir(before)
    return found


def said(action):
    """Status and lines of a tool that does this."""
    import contextlib
    import io

    out = io.StringIO()
    with contextlib.redirect_stderr(out), contextlib.redirect_stdout(io.StringIO()):
        try:
            action()
        except Exception as error:
            return report(error), out.getvalue().splitlines()
    return 0, []


def shown(case):
    if case.value is GONE:
        return f'`{case.path}` removed'
    value = repr(case.value)
    return f'`{case.path} = {value if len(value) <= 70 else value[:67] + "..."}`'


def page(messages):
    number = sum(map(len, messages.values()))
    lines = [INTRODUCTION.format(number=number)]
    for section, rows in messages.items():
        lines += [f'## {section}\n', '| mistake | message |', '|---|---|']
        for name, (_, said_lines), _ in rows:
            text = '<br>'.join(f'`{line.removeprefix("error: ")}`' for line in said_lines).replace('|', '\\|')
            lines.append(f'| {name} | {text} |'.replace('  ', ' '))
        lines.append('')
    return '\n'.join(lines)


def test_the_good_config_has_no_mistake():
    start(good_config())


def test_there_are_at_least_200_mistakes(messages):
    assert sum(map(len, messages.values())) >= 200


def test_every_mistake_is_a_line_that_names_key_and_remedy(messages):
    wrong = []
    for section, rows in messages.items():
        for name, (status, lines), case in rows:
            key = case if isinstance(case, str) else case.named or case.path
            line = next((line for line in lines if key in line), '')
            good = status == 2 and line.startswith('error: ') and len(lines) <= 2
            remedy = re.search(r'[;:,] .*\b(\w+)', line.split(key, 1)[-1]) if good else None
            if not good or remedy is None:
                wrong.append(f'{section}: {name}: {status} {lines[-1:]}')
    assert not wrong, '\n'.join(wrong)


def test_every_scalar_that_came_is_in_the_line(messages):
    wrong = []
    for rows in messages.values():
        for name, (_, lines), case in rows:
            if (
                isinstance(case, str)
                or case.named
                or case.value is GONE
                or not isinstance(case.value, (str, int, float))
            ):
                continue
            last = case.path.rpartition('.')[2]
            told = 'nan' if isinstance(case.value, float) and math.isnan(case.value) else str(case.value)
            if not any(told in line or f'no argument {last}' in line or 'no setting' in line for line in lines):
                wrong.append(f'{name}: {lines}')
    assert not wrong, '\n'.join(wrong)


def test_the_page_is_current(messages):
    text = page(messages)
    if os.environ.get('MMSEG_KD_UPDATE_DOCS'):
        PAGE.write_text(text, encoding='utf-8')
    assert PAGE.read_text(encoding='utf-8') == text, 'write the page with MMSEG_KD_UPDATE_DOCS=1'
