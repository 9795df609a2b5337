import re
import runpy
import sys
from pathlib import Path

import pytest

from mmseg_kd.datasets import write_split

TOOL = Path(__file__).resolve().parents[2] / 'tools' / 'make_split.py'


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    (tmp_path / 'images').mkdir()
    for number in range(100):
        (tmp_path / 'images' / f'{number:03d}.jpg').touch()
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        monkeypatch.setattr(sys, 'argv', ['make_split.py', *map(str, arguments)])
        runpy.run_path(str(TOOL), run_name='__main__')
        return capsys.readouterr().out

    return call


def test_the_lists_are_those_of_write_split(run, tmp_path):
    said = run('images', 'out', '--fraction', 0.5, '--seed', 3)
    assert said == ('written: out/train.txt (35 images), out/val.txt (10 images), out/test.txt (5 images)\n')
    parts = write_split('images', 'other', 0.5, 3)
    assert {name: (tmp_path / f'out/{name}.txt').read_text().split() for name in parts} == parts


def test_bad_input_is_one_line(run, capsys):
    with pytest.raises(SystemExit, match='^2$'):
        run('images', 'out', '--fraction', 2)
    assert capsys.readouterr().err.startswith('error: write_split: fraction must lie in')
    with pytest.raises(SystemExit, match='^2$'):
        run('images', 'out', '--suffix', '.png')
    assert re.fullmatch('error: .*check the folder and the suffix.*\n', capsys.readouterr().err)
