import runpy
import sys
from pathlib import Path

import pytest
from PIL import Image

from mmseg_kd.testing.toys import toy_runner, toy_segmentor
from mmseg_kd.testing.trees import write_camvid_tree

pytest.importorskip('matplotlib')
TOOL = Path(__file__).resolve().parents[2] / 'tools' / 'show_predictions.py'


@pytest.fixture(scope='module')
def workspace(tmp_path_factory):
    """A folder as a user has it: data, a distiller's config, a checkpoint of its student, and no teacher."""
    folder = tmp_path_factory.mktemp('workspace')
    write_camvid_tree(folder / 'data' / 'camvid', images=3)
    model = toy_segmentor(4, num_classes=11).to_dict()
    toy_runner(model, folder / 'run', max_iters=1).train()
    teacher = dict(model=model, checkpoint='gone.pth')
    (folder / 'distilled.py').write_text(
        "_base_ = ['mmseg_kd::_base_/datasets/camvid_240x180.py', 'mmseg_kd::_base_/default_runtime.py']\n"
        f"model = dict(type='Distiller', student={model!r}, teacher={teacher!r}, terms=dict())\n"
    )
    return folder


def run(workspace, monkeypatch, *arguments):
    monkeypatch.chdir(workspace)
    monkeypatch.setattr(sys, 'argv', ['show_predictions.py', *map(str, arguments)])
    runpy.run_path(str(TOOL), run_name='__main__')


def test_the_best_and_the_worst_are_drawn_and_told(workspace, monkeypatch, capsys):
    run(workspace, monkeypatch, 'distilled.py', 'run/iter_1.pth', '--count', 1)
    printed, progress = capsys.readouterr()
    lines = printed.splitlines()
    assert [line[2:9].strip() for line in lines[2:4]] == ['best 1', 'worst 1']
    assert lines[5].startswith('IoU of 3 images, %')
    assert lines[-2] == 'without the teacher: model.teacher.checkpoint: no such checkpoint: gone.pth'
    assert lines[-1] == 'written: work_dirs/distilled/analysis/predictions.png'
    assert Image.open(workspace / 'work_dirs' / 'distilled' / 'analysis' / 'predictions.png').width == 600
    assert '3 images' in progress


def test_the_picture_goes_where_it_is_asked_to(workspace, monkeypatch, capsys):
    run(
        workspace,
        monkeypatch,
        'distilled.py',
        'run/iter_1.pth',
        '--out',
        'new/shown.png',
        '--cfg-options',
        'val_dataloader.dataset.indices=2',
    )
    assert 'IoU of 2 images' in capsys.readouterr().out
    assert [path.name for path in (workspace / 'new').iterdir()] == ['shown.png']


@pytest.mark.parametrize(
    'arguments, message',
    [
        (['nothing.py', 'run/iter_1.pth'], 'no such config: nothing.py'),
        (['distilled.py', 'nothing.pth'], 'no such checkpoint: nothing.pth'),
        (['distilled.py', 'run/iter_1.pth', '--count', '0'], 'count must be >= 1, but is 0'),
    ],
)
def test_bad_input_ends_in_one_clear_line_and_leaves_nothing(workspace, monkeypatch, capsys, arguments, message):
    with pytest.raises(SystemExit) as caught:
        run(workspace, monkeypatch, *arguments, '--out', 'bad/shown.png')
    error = capsys.readouterr().err.splitlines()[-1]
    assert caught.value.code == 2 and error.startswith('error: ') and message in error
    assert not (workspace / 'bad').exists()
