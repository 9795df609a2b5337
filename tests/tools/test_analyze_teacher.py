import runpy
import sys
from pathlib import Path

import pytest

from mmseg_kd.testing.toys import toy_runner, toy_segmentor
from mmseg_kd.testing.trees import write_camvid_tree

TOOL = Path(__file__).resolve().parents[2] / 'tools' / 'analyze_teacher.py'


@pytest.fixture(scope='module')
def workspace(tmp_path_factory):
    """A folder as a user has it: data, a trained teacher, its config, and that of a distiller."""
    folder = tmp_path_factory.mktemp('workspace')
    write_camvid_tree(folder / 'data' / 'camvid')
    toy_runner(toy_segmentor(4, num_classes=11), folder / 'run', max_iters=1).train()
    base = "_base_ = ['mmseg_kd::_base_/datasets/camvid_240x180.py', 'mmseg_kd::_base_/default_runtime.py']\n"
    quick = 'val_dataloader = dict(num_workers=0, persistent_workers=False)\n'
    model = toy_segmentor(4, num_classes=11).to_dict()
    (folder / 'teacher.py').write_text(f'{base}{quick}model = {model!r}\n')
    teachers = dict(a=dict(model=model, checkpoint='run/iter_1.pth'), b=dict(model=model))
    distilled = f"model = dict(type='Distiller', student={model!r}, teacher={teachers!r})"
    (folder / 'distilled.py').write_text(f'{base}{quick}{distilled}\n')
    return folder


def run(workspace, monkeypatch, *arguments):
    monkeypatch.chdir(workspace)
    monkeypatch.setattr(sys, 'argv', ['analyze_teacher.py', *map(str, arguments)])
    runpy.run_path(str(TOOL), run_name='__main__')


def test_a_segmentor_is_analyzed(workspace, monkeypatch, capsys):
    run(workspace, monkeypatch, 'teacher.py', 'run/iter_1.pth', '--images', 1, '--temperatures', 1, 3)
    printed = capsys.readouterr().out
    report = (workspace / 'work_dirs' / 'teacher' / 'analysis' / 'teacher.md').read_text()
    assert report in printed and report.startswith('## teacher\n\n1 images') and 'T = 3' in report
    assert (workspace / 'work_dirs' / 'teacher' / 'analysis' / 'entropy.csv').read_text().count('\n') == 201
    pytest.importorskip('matplotlib')
    assert 'written to work_dirs/teacher/analysis: teacher.md, entropy.csv, reliability.csv, teacher.png' in printed


def test_each_teacher_of_a_distiller_is_analyzed_and_a_plot_is_optional(workspace, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, 'matplotlib', None)
    run(workspace, monkeypatch, 'distilled.py', '--images', 1, '--out', 'found')
    printed = capsys.readouterr().out
    assert '## teacher a of distilled' in printed and '## teacher b of distilled' in printed
    assert 'no plot: plots need matplotlib' in printed
    assert sorted(path.name for path in (workspace / 'found').iterdir()) == [
        'a_entropy.csv',
        'a_reliability.csv',
        'b_entropy.csv',
        'b_reliability.csv',
        'teacher.md',
    ]


@pytest.mark.parametrize(
    'arguments, message',
    [
        (['nothing.py', 'x.pth'], 'no such config: nothing.py'),
        (['teacher.py'], 'a segmentor needs its checkpoint'),
        (['teacher.py', 'nothing.pth'], 'no such checkpoint: nothing.pth'),
        (['teacher.py', 'run/iter_1.pth', '--images', '0'], 'images must be >= 1, but is 0'),
        (['teacher.py', 'run/iter_1.pth', '--temperatures', '0'], 'temperatures must be different numbers > 0'),
    ],
)
def test_bad_input_ends_in_one_clear_line_and_leaves_nothing(workspace, monkeypatch, capsys, arguments, message):
    with pytest.raises(SystemExit) as caught:
        run(workspace, monkeypatch, *arguments, '--out', 'bad')
    error = capsys.readouterr().err.splitlines()[-1]
    assert caught.value.code == 2 and error.startswith('error: ') and message in error
    assert not (workspace / 'bad').exists()
