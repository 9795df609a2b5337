import argparse
import os

import pytest

from mmseg_kd.io.trust import TRUST, add_trust_files, trusted


@pytest.mark.parametrize('value, expected', [('1', True), ('', False), ('0', False)])
def test_the_variable_decides(monkeypatch, value, expected):
    monkeypatch.setenv(TRUST, value)
    assert trusted() is expected


def test_the_flag_reaches_processes_of_the_tool(monkeypatch):
    monkeypatch.setenv(TRUST, '0')
    parser = argparse.ArgumentParser()
    add_trust_files(parser)
    assert not parser.parse_args([]).trust_files and not trusted()
    assert parser.parse_args(['--trust-files']).trust_files and os.environ[TRUST] == '1'
