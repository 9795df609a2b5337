"""The command line, run as a user runs it, over folders that the tests of the analysis write."""

import subprocess
import sys
from pathlib import Path

import pytest
from fork_server import forked_python

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / 'tests' / 'analysis'))

from run_folders import alone, distilled, write_run  # noqa: E402


def compare(*arguments, cwd):
    done = subprocess.run(
        [forked_python(), ROOT / 'tools' / 'compare.py', *arguments], cwd=cwd, capture_output=True, text=True
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('work')
    for seed in (0, 1):
        write_run(folder / 'runs' / f'alone{seed}', alone(), [30.0 + seed], seed=seed)
        write_run(folder / 'runs' / f'pi{seed}', distilled(), [33.0 + seed], seed=seed, name='pi')
    write_run(folder / 'small', distilled(train_dataloader__dataset__pipeline__2__crop_size=(64, 64)), [10.0])
    return folder


def test_tables_are_printed_and_written_with_the_page(folder):
    code, out, error = compare('runs', 'small', '--anyway', '--out', 'out', cwd=folder)
    assert code == 0, error
    assert [line.split() for line in out.splitlines() if line.startswith(('baseline', 'pi'))] == [
        'baseline 2 30.50 ± 0.71 - - - - 300 75'.split(),
        'pi 2 33.50 ± 0.71 * +3.00 +3.00 [+3.00, +3.00] 2 300 75'.split(),
    ]
    written = [line.removeprefix('written: ') for line in out.splitlines() if line.startswith('written: ')]
    assert written == [f'out/comparison.{kind}' for kind in ('txt', 'md', 'csv', 'tex', 'html')]
    assert 'NOT COMPARABLE: different crop' in out
    assert all((folder / path).stat().st_size for path in written)
    assert out.startswith((folder / 'out' / 'comparison.txt').read_text(encoding='utf-8'))


def test_what_is_not_comparable_ends_in_the_key_that_differs(folder):
    code, out, error = compare('runs', 'small', cwd=folder)
    assert code == 2 and out == ''
    assert error.splitlines()[-1] == (
        'error: these runs are not comparable (--anyway compares them nevertheless): different crop: train_dataloader.dataset.pipeline.2.crop_size is [128, 128] in runs/alone0, '
        'runs/alone1 and 2 more, but [64, 64] in small'
    )
