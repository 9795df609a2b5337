import io
import shutil
import sys

import pytest
import torch
from demo import Outcome, demo_config, demo_table, fastest_threads, run_demo
from PIL import Image

from mmseg_kd.io.progress import ProgressLine

pytest.importorskip('sklearn')
pytest.importorskip('matplotlib')


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(scope='module')
def demo(tmp_path_factory):
    """Two iterations of everything, over the leftovers of a run that was killed."""
    folder = tmp_path_factory.mktemp('demo')
    (folder / 'work' / 'student').mkdir(parents=True)
    (folder / 'work' / 'student' / 'leftover.pth').write_text('x')
    out = io.StringIO()
    outcomes = run_demo(folder / 'work', folder / 'data', num_train=16, num_val=8, iterations=2, out=out)
    return folder, outcomes, out.getvalue()


def test_three_runs_are_compared(demo):
    _, outcomes, _ = demo
    assert list(outcomes) == ['teacher', 'baseline', 'distilled']
    (teacher,), (alone,), (distilled,) = outcomes.values()
    assert all(0 <= outcome.miou <= 100 and outcome.seconds > 0 for outcome in (teacher, alone, distilled))
    assert (alone.parameters, alone.macs) == (distilled.parameters, distilled.macs)
    assert teacher.parameters > 10 * alone.parameters and teacher.macs > 10 * alone.macs
    assert len(distilled.predictions) == 6 and distilled.predictions[0].shape == (64, 64)


def test_table_and_picture_are_left_behind(demo):
    folder, outcomes, said = demo
    table = (folder / 'work' / 'table.md').read_text()
    assert table == demo_table(outcomes) and table in said
    assert Image.open(folder / 'work' / 'comparison.png').size == (1194, 1262)  # 6 columns and 6 rows
    assert said.splitlines()[-2:] == [
        f'table:   {folder / "work" / "table.md"}',
        f'picture: {folder / "work" / "comparison.png"} (the first 6 validation scenes, seed 0)',
    ]


def test_each_run_says_one_line(demo):
    _, _, said = demo
    lines = said.splitlines()[:4]
    assert [line[:25].strip() for line in lines] == ['digit scenes', 'teacher', 'baseline', 'distilled']
    assert lines[1].split()[1:3] == ['2', 'iterations'] and '\r' not in said


def test_a_killed_run_leaves_nothing_in_the_way(demo):
    folder, _, _ = demo
    assert not (folder / 'work' / 'student' / 'leftover.pth').exists()
    assert (folder / 'work' / 'student' / 'iter_2.pth').exists()


def test_a_stopped_demo_goes_on_without_training_again_what_is_done(demo, tmp_path):
    folder, outcomes, _ = demo
    shutil.copytree(folder / 'work', tmp_path, dirs_exist_ok=True)
    shutil.rmtree(tmp_path / 'distilled')
    again = run_demo(tmp_path, folder / 'data', num_train=16, num_val=8, iterations=2, out=io.StringIO(), resume=True)
    for name in ('teacher', 'baseline'):
        # Minutes of training are reported, although nothing was trained.
        assert (again[name][0].miou, again[name][0].seconds) == (outcomes[name][0].miou, outcomes[name][0].seconds)
    assert again['distilled'][0].miou == outcomes['distilled'][0].miou


def test_each_run_writes_its_curves_to_its_own_folder(demo):
    folder, _, _ = demo
    for run in ('teacher', 'student', 'distilled'):
        assert len(list((folder / 'work' / run).glob('*/vis_data/scalars.json'))) == 1


def test_the_student_is_taught_by_the_teacher_of_its_own_seed(tmp_path):
    config = demo_config('distilled', tmp_path, 'elsewhere', seed=7, iterations=5)
    assert config.model.teacher.checkpoint == str(tmp_path / 'teacher' / 'iter_5.pth')
    assert config.randomness.seed == 7 and config.work_dir == str(tmp_path / 'distilled')
    assert config.train_dataloader.dataset.data_root == config.val_dataloader.dataset.data_root == 'elsewhere'


def test_without_overrides_the_teacher_is_where_the_demo_leaves_it(tmp_path):
    from mmengine.config import Config

    from mmseg_kd import config_file

    stated = Config.fromfile(config_file('mmseg_kd::demo/distilled.py')).model.teacher.checkpoint
    work_dir = tmp_path / 'work_dirs' / 'demo'
    assert demo_config('distilled', work_dir, 'data', 0, None).model.teacher.checkpoint == str(tmp_path / stated)


def test_the_three_runs_differ_only_in_network_and_learning_rate(tmp_path):
    teacher, student, distilled = (
        demo_config(leaf, tmp_path, 'data', 0, None) for leaf in ('teacher', 'student', 'distilled')
    )
    for key in ('train_cfg', 'train_dataloader', 'val_dataloader', 'param_scheduler', 'val_evaluator'):
        assert teacher[key] == student[key] == distilled[key]
    assert student.optim_wrapper == distilled.optim_wrapper
    assert student.model == distilled.model.student


def outcome(miou, parameters=1620000):
    return Outcome(miou, parameters, 123456789, 60.4, [torch.zeros(1)])


def test_table_of_one_seed():
    table = demo_table({'teacher': [outcome(62.04)], 'baseline': [outcome(40)], 'distilled': [outcome(38.5)]})
    lines = table.splitlines()
    assert [cell.strip() for cell in lines[0].split('|')[1:-1]] == ['', 'mIoU, %', 'parameters', 'MACs', 'training, s']
    assert [cell.strip() for cell in lines[2].split('|')[1:-1]] == ['teacher', '62.0', '1.620 M', '123.5 M', '60']
    assert set(lines[1]) == set('| -:') and len({len(line) for line in lines[:5]}) == 1
    assert lines[-1] == 'Distillation changes the student by -1.5 mIoU.'


def test_table_of_several_seeds_has_the_sample_deviation():
    table = demo_table(
        {
            'teacher': [outcome(60), outcome(62)],
            'baseline': [outcome(40), outcome(44)],
            'distilled': [outcome(50), outcome(52)],
        }
    )
    assert '61.0 ± 1.4' in table and '42.0 ± 2.8' in table
    assert table.splitlines()[-1] == (
        'Distillation changes the student by +9.0 ± 1.4 mIoU (+10.0, +8.0; mean and std of 2 seeds).'
    )


@pytest.mark.parametrize('seeds', [(), (1, 1)])
def test_seeds_must_be_different_numbers(tmp_path, seeds):
    with pytest.raises(ValueError, match='seeds must be different numbers'):
        run_demo(tmp_path, tmp_path / 'data', seeds=seeds)


@pytest.mark.parametrize('package', ['matplotlib', 'sklearn'])
def test_a_missing_package_is_named_before_anything_is_computed(tmp_path, monkeypatch, package):
    for name in [package, *(name for name in sys.modules if name.startswith(f'{package}.'))]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=r'pip install "mmseg-kd\[demo\]"$'):
        run_demo(tmp_path / 'work', tmp_path / 'data')
    assert not list(tmp_path.iterdir())


def test_a_progress_line_is_redrawn_on_a_terminal(monkeypatch):
    clock = iter([0.0, 1.0, 1.05, 2.0])
    monkeypatch.setattr('demo.time.monotonic', lambda: next(clock))
    out = Terminal()
    line = ProgressLine('teacher', 4, out)
    line.update(1, note=', loss 1.00')
    line.update(2)  # too soon after the last to be seen
    line.update(4)
    line.close('done')
    assert out.getvalue().split('\r\x1b[K')[1:] == [
        'teacher                   [======                  ] 1/4, 3 s left, loss 1.00',
        'teacher                   [========================] 4/4, 0 s left',
        'teacher                   done\n',
    ]


def test_a_progress_line_is_written_once_where_there_is_no_terminal():
    out = io.StringIO()
    line = ProgressLine('teacher', 4, out)
    line.update(1)
    line.close('done')
    assert out.getvalue() == 'teacher                   done\n'


def test_more_threads_are_taken_where_they_are_clearly_faster():
    assert fastest_threads(1, 2, {1: 1.0, 2: 0.7}.get) == 2
    assert fastest_threads(1, 2, {1: 1.0, 2: 0.9}.get) == 1
    assert fastest_threads(1, 2, {1: 1.0, 2: 2.4}.get) == 1
    assert fastest_threads(1, 1, lambda _: pytest.fail('one thread leaves no choice')) == 1


def test_the_time_of_convolutions_is_measured_with_the_threads_that_are_asked_for():
    threads = torch.get_num_threads()
    try:
        assert fastest_threads(1, 2) in (1, 2)
        assert torch.get_num_threads() == 1  # the last that was measured
    finally:
        torch.set_num_threads(threads)
