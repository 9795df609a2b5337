"""The faults that the page reports still exist; where one is gone, its workaround can be removed."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).resolve().parents[2] / 'docs' / 'upstream.md').read_text(encoding='utf-8')
REPORTS = dict(re.findall(r'^## ([^\n]*)\n.*?^```python\n(.*?)^```', PAGE, re.DOTALL | re.MULTILINE))


def test_each_report_has_its_lines():
    assert list(REPORTS) == re.findall(r'^## (.*)', PAGE, re.MULTILINE)
    assert PAGE.count('\nExpected: ') == PAGE.count('Workaround here:') == len(REPORTS)


@pytest.mark.slow
@pytest.mark.parametrize('title', REPORTS)
def test_the_lines_show_the_fault(title, tmp_path):
    # A bare interpreter: in this one, the workarounds are in force.
    done = subprocess.run([sys.executable, '-c', REPORTS[title]], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
