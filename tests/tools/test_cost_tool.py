import runpy
import sys
from pathlib import Path

import pytest

from mmseg_kd.profiling.energy import Energy, save_energy
from mmseg_kd.testing.toys import toy_segmentor

TOOL = Path(__file__).resolve().parents[2] / 'tools' / 'cost.py'
QUICK = ('--seconds', 0.01, '--batches', 1, 2)


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    student, teacher = (toy_segmentor(channels).to_dict() for channels in (4, 8))
    (tmp_path / 'plain.py').write_text(f'model = {student!r}\n')
    (tmp_path / 'distilled.py').write_text(
        f"model = dict(type='Distiller', student={student!r}, teacher=dict(model={teacher!r}, checkpoint='auto'))\n"
    )
    (tmp_path / 'run').mkdir()
    save_energy(tmp_path / 'run' / 'energy.json', Energy(10.0, 3_599_999 / 3.6e6, 0.1, 'counted'))
    monkeypatch.chdir(tmp_path)
    # Energy without codecarbon: each call of the student 1 J, of the teacher 3 J.
    joules = iter((1.0, 3.0))
    monkeypatch.setattr('mmseg_kd.profiling.network_cost.energy_tracker', lambda country: None)
    monkeypatch.setattr(
        'mmseg_kd.profiling.network_cost.measure_energy',
        lambda *arguments: (10, Energy(5.0, 10 * next(joules) / 3.6e6, 1e-6, 'a fake')),
    )
    return tmp_path


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, 'argv', ['cost.py', *map(str, arguments)])
    runpy.run_path(str(TOOL), run_name='__main__')


def test_a_pair_is_measured_and_its_break_even_told(workspace, monkeypatch, capsys):
    run(monkeypatch, 'distilled.py', *QUICK, '--country', 'FRA', '--train-log', 'run')
    printed = capsys.readouterr().out
    report = (workspace / 'work_dirs' / 'distilled' / 'analysis' / 'cost.md').read_text()
    assert report in printed and 'MACs at 32x32, G' in report
    assert 'Break-even with the teacher: 1800000 images' in report and '- student: a fake.' in report
    assert 'random (student), random (teacher)' in report
    assert 'energy of training' in (workspace / 'work_dirs' / 'distilled' / 'analysis' / 'cost.csv').read_text()


def test_a_single_network_is_measured_at_several_sizes_without_energy(workspace, monkeypatch, capsys):
    run(monkeypatch, 'plain.py', *QUICK, '--shape', '32x48', '16x16', '--out', 'found')
    printed = capsys.readouterr().out
    rows = [line.split() for line in printed.splitlines() if line.startswith('| network')]
    assert [row[3] for row in rows[1:]] == ['32x48', '32x48', '16x16', '16x16'] and 'Wh' not in printed
    assert sorted(path.name for path in (workspace / 'found').iterdir()) == ['cost.csv', 'cost.md']


@pytest.mark.parametrize(
    'arguments, message',
    [
        (['nothing.py'], 'no such config: nothing.py'),
        (['plain.py', '--checkpoint', 'nothing.pth'], 'no such checkpoint: nothing.pth'),
        (['plain.py', '--batches', '0'], 'batches and sizes must be >= 1'),
        (['plain.py', '--country', 'FRA', '--train-log', '.'], 'must be the work directory of a training run'),
    ],
)
def test_bad_input_ends_in_one_clear_line_and_leaves_nothing(workspace, monkeypatch, capsys, arguments, message):
    with pytest.raises(SystemExit) as caught:
        run(monkeypatch, *arguments, '--out', 'bad')
    error = capsys.readouterr().err.splitlines()[-1]
    assert caught.value.code == 2 and error.startswith('error: ') and message in error
    assert not (workspace / 'bad').exists()


@pytest.mark.parametrize(
    'arguments, message',
    [
        (['plain.py', '--train-log', 'run'], '--train-log needs --country'),
        (['plain.py', '--shape', '32'], 'argument --shape: invalid size value'),
    ],
)
def test_a_wrong_command_line_says_so(workspace, monkeypatch, capsys, arguments, message):
    with pytest.raises(SystemExit):
        run(monkeypatch, *arguments)
    assert message in capsys.readouterr().err
