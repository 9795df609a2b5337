import json
import math
import os
import re

import pytest
from run_folders import alone, changed, distilled, sweep_entry, table, write_run

from mmseg_kd.io.runs import find_runs, read_class_iou, read_run, saved_checkpoints

CLASSES = {'Sky': 82.38, 'Sign Symbol': 0.0, 'Car': 29.74}
# Written by onedl-mmsegmentation 1.4.2; the rest of the log is left out.
REAL_LOG = """\
2026/11/21 11:46:09 - mmengine - INFO - Iter(val) [100/101]    eta: 0:00:00  time: 0.0773  data_time: 0.0023  \n\
2026/11/21 11:46:09 - mmengine - INFO - per class results:
2026/11/21 11:46:09 - mmengine - INFO - \n\
+------------+-------+-------+
|   Class    |  IoU  |  Acc  |
+------------+-------+-------+
|    Sky     | 82.38 | 98.74 |
|  Building  | 63.88 | 86.41 |
|    Pole    |  0.0  |  0.0  |
|    Road    | 72.54 | 97.48 |
|  Pavement  |  0.0  |  0.0  |
|    Tree    | 63.15 | 69.68 |
| SignSymbol |  0.0  |  0.0  |
|   Fence    |  0.0  |  0.0  |
|    Car     | 29.74 | 82.98 |
| Pedestrian |  0.0  |  0.0  |
| Bicyclist  |  0.0  |  0.0  |
+------------+-------+-------+
2026/11/21 11:46:09 - mmengine - INFO - Iter(val) [101/101]    aAcc: 73.8100  mIoU: 28.3400  mAcc: 39.5700  \
data_time: 0.0028  time: 0.0793
"""


def test_a_complete_run_tells_all_that_is_compared(tmp_path):
    run = read_run(
        write_run(tmp_path / 'a', alone(), [10.0, 20.0, 30.0], seed=3, classes=CLASSES, memory=1234, name='r18')
    )
    assert run.problem is None and run.title == 'r18' and run.seed == 3 and run.processes == 1
    assert run.validations == [(100, 10.0), (200, 20.0), (300, 30.0)] and run.miou == 30.0
    assert run.iterations == 300 and run.step_seconds == pytest.approx(0.25) and run.seconds == pytest.approx(75)
    assert run.memory == 1234 and run.class_iou == CLASSES and run.sweep is None
    assert len(run.losses) == 15 and run.losses[0] == (20, pytest.approx(2.5))  # not the total, nor that of other heads
    assert run.config['model']['backbone'] == dict(type='ResNetV1c', depth=18)
    assert run.config['train_dataloader']['dataset']['pipeline'][2]['crop_size'] == [128, 128]


def test_the_mean_f1_is_that_of_the_last_validation_where_it_was_asked_for(tmp_path):
    folder = write_run(tmp_path / 'a', alone(), [10.0, 20.0, 30.0], name='r18')
    assert read_run(folder).fscore is None
    (scalars,) = folder.glob('*/vis_data/scalars.json')
    entries = [json.loads(line) for line in scalars.read_text().splitlines()]
    scalars.write_text(
        '\n'.join(json.dumps(dict(entry, mFscore=entry['mIoU'] + 1) if 'mIoU' in entry else entry) for entry in entries)
    )
    assert read_run(folder).fscore == 31.0


def test_a_run_that_was_judged_by_another_metric_says_so(tmp_path):
    folder = write_run(tmp_path / 'a', alone(), [10.0, 20.0, 30.0], name='r18')
    (scalars,) = folder.glob('*/vis_data/scalars.json')
    scalars.write_text(scalars.read_text().replace('"mIoU"', '"mDice"'))
    assert 'mDice, mAcc, but runs are compared by mIoU; set val_evaluator' in read_run(folder).problem


def test_a_real_log_gives_the_iou_of_every_class():
    found = read_class_iou(REAL_LOG)
    assert list(found)[0] == 'Sky' and list(found)[-1] == 'Bicyclist' and len(found) == 11
    assert found['Road'] == 72.54 and found['SignSymbol'] == 0.0
    assert sum(found.values()) / 11 == pytest.approx(28.34, abs=0.01)


def test_only_the_last_table_counts():
    assert read_class_iou(REAL_LOG + REAL_LOG.replace('82.38', '11.11'))['Sky'] == 11.11


def test_other_columns_and_odd_names_are_read():
    log = (
        'x - INFO - per class results:\nx - INFO - \n'
        '+-------+-------+-------+------+\n'
        '| Class |  Dice |  Acc  | IoU  |\n'
        '+-------+-------+-------+------+\n'
        '| a | b |  1.0  |  2.0  | 3.5  |\n'
        '| crt screen & <x>|  nan  |  nan  | nan  |\n'
        '+-------+-------+-------+------+'
    )
    found = read_class_iou(log)
    assert list(found) == ['a | b', 'crt screen & <x>'] and found['a | b'] == 3.5
    assert math.isnan(found['crt screen & <x>'])


@pytest.mark.parametrize(
    'log',
    [
        '',
        'nothing of the kind',
        'x - INFO - per class results:\n',
        'x - INFO - per class results:\nx - INFO - \n+---+\n',
        'x - INFO - per class results:\n\n+--+--+\n| Class | Acc |\n+--+--+\n| a | 1.0 |\n',
        'x - INFO - per class results:\n\n+--+--+\n| Class | IoU |\n+--+--+\n| a | wor',
    ],
)
def test_a_log_without_a_whole_table_gives_nothing(log):
    assert read_class_iou(log) == {}


def test_a_resumed_run_is_one_training(tmp_path):
    write_run(tmp_path, alone(), [10.0, 20.0, 30.0], until=190, time=1.0, started='20261121_100000', memory=900)
    write_run(
        tmp_path, alone(), [11.0, 21.0, 31.0], resumed=100, started='20261121_110000', classes=CLASSES, memory=800
    )
    run = read_run(tmp_path)
    assert run.problem is None and run.started == '20261121_110000'
    assert run.validations == [(100, 10.0), (200, 21.0), (300, 31.0)]
    assert [iteration for iteration, _ in run.losses] == list(range(20, 301, 20))
    # 100 iterations of the first start, at a second each, and 200 of the second, at a quarter.
    assert run.seconds == pytest.approx(150) and run.memory == 900 and run.class_iou == CLASSES


def test_a_run_that_was_started_again_forgets_the_start_before(tmp_path):
    write_run(
        tmp_path, alone(), [10.0, 20.0, 30.0], time=9.0, started='20261121_100000', classes=dict(CLASSES, Sky=1.0)
    )
    write_run(tmp_path, alone(), [11.0, 21.0, 31.0], until=150, started='20261121_110000')
    run = read_run(tmp_path)
    assert run.problem == 'stopped at iteration 140 of 300'
    assert run.validations == [(100, 11.0)] and run.step_seconds == 0.25 and run.class_iou == {}


def test_what_was_only_tested_or_killed_before_its_first_entry_does_not_count(tmp_path):
    write_run(tmp_path, alone(), [30.0], classes=CLASSES, started='20261121_100000')
    write_run(
        tmp_path, alone(train_cfg__max_iters=999), [30.0], until=1, classes={'Sky': 0.0}, started='20261121_110000'
    )
    run = read_run(tmp_path)
    assert run.problem is None and run.miou == 30.0 and run.class_iou == CLASSES and run.started == '20261121_100000'


@pytest.mark.parametrize(
    'until, reason',
    [
        (1, 'stopped before its first log entry'),
        (90, 'stopped at iteration 80 of 300'),
        (300, 'stopped at iteration 300 of 300, before its last validation'),
    ],
)
def test_an_incomplete_run_says_how_far_it_came(tmp_path, until, reason):
    assert read_run(write_run(tmp_path, alone(), [10.0, 20.0, 30.0], until=until)).problem == reason


def test_a_line_that_was_cut_by_a_kill_is_skipped(tmp_path):
    write_run(tmp_path, alone(), [30.0], until=190)
    scalars = tmp_path / '20261121_114443' / 'vis_data' / 'scalars.json'
    scalars.write_text(scalars.read_text() + '{"lr": 0.001, "loss": 1.2')
    assert read_run(tmp_path).problem == 'stopped at iteration 180 of 300'


def test_a_loss_that_is_turned_off_has_no_curve(tmp_path):
    write_run(tmp_path, alone(), [30.0])
    scalars = tmp_path / '20261121_114443' / 'vis_data' / 'scalars.json'
    scalars.write_text(re.sub(r'"decode.loss_ce": [\d.]+', '"decode.loss_ce": 0.0', scalars.read_text()))
    assert read_run(tmp_path).losses == []


def test_a_result_that_is_no_number_is_a_problem(tmp_path):
    assert read_run(write_run(tmp_path, alone(), [10.0, float('nan')])).problem == 'its last mIoU is nan'


def test_what_cannot_be_read_is_a_problem_and_no_exception(tmp_path):
    (tmp_path / 'empty').mkdir()
    assert read_run(tmp_path / 'empty').problem == 'holds no log of a training'
    write_run(tmp_path / 'code', alone(), [30.0])
    (tmp_path / 'code' / '20261121_114443' / 'vis_data' / 'config.py').write_text('model = dict(')
    assert read_run(tmp_path / 'code').problem.startswith('cannot be read: ')
    write_run(tmp_path / 'endless', changed(alone(), train_cfg=dict(max_iters=300)), [30.0])
    (tmp_path / 'endless' / '20261121_114443' / 'vis_data' / 'config.py').write_text('train_cfg = dict()')
    assert (
        read_run(tmp_path / 'endless').problem == 'its config has neither train_cfg.max_iters nor train_cfg.max_epochs'
    )


def test_a_run_that_its_sweep_calls_failed_is_failed(tmp_path):
    entry = sweep_entry('lr', 'pi', {}, state='failed', error='ValueError: loss_pi\nis nan')
    assert (
        read_run(write_run(tmp_path / 'a', alone(), [30.0], sweep=entry)).problem
        == 'failed: ValueError: loss_pi is nan'
    )
    (tmp_path / 'b').mkdir()
    (tmp_path / 'b' / 'run.json').write_text(json.dumps(entry))
    assert read_run(tmp_path / 'b').problem == 'failed: ValueError: loss_pi is nan'
    (tmp_path / 'b' / 'run.json').write_text('{"sweep": "a", "stage": "b"}')
    assert read_run(tmp_path / 'b').problem == (
        'cannot be read: run.json must have sweep, stage, candidate, params, state, but lacks candidate, params, state'
    )


def test_a_run_that_its_sweep_gave_up_says_so(tmp_path):
    entry = sweep_entry('lr', 'pi', {}, state='pruned')
    run = read_run(write_run(tmp_path, alone(), [10.0, 20.0, 30.0], until=190, sweep=entry))
    assert run.problem == 'stopped by its sweep at iteration 180'


def test_a_run_that_was_stopped_early_on_purpose_is_complete(tmp_path):
    write_run(tmp_path, alone(), [10.0, 9.0, 30.0], until=210)
    assert read_run(tmp_path).problem == 'stopped at iteration 200 of 300'
    log = tmp_path / '20261121_114443' / '20261121_114443.log'
    log.write_text(
        log.read_text() + '2026/11/21 - mmengine - INFO - the monitored metric did not improve in the last 1 records. '
    )
    run = read_run(tmp_path)
    assert run.problem is None and run.miou == 9.0 and run.iterations == 200


def test_epochs_are_counted_in_iterations(tmp_path):
    """As an EpochBasedTrainLoop logs 2 epochs of 50 iterations: validations are numbered by epoch."""
    write_run(tmp_path, changed(alone(), train_cfg=dict(type='EpochBasedTrainLoop', max_iters=20)), [30.0])
    start = tmp_path / '20261121_114443'
    config = (start / 'vis_data' / 'config.py').read_text().replace("'max_iters': 20", "'max_epochs': 2")
    (start / 'vis_data' / 'config.py').write_text(config)
    lines = []
    for epoch in (1, 2):
        lines += [dict(time=0.5, epoch=epoch, iter=step, step=step) for step in range(50 * epoch - 30, 50 * epoch, 20)]
        lines.append(dict(mIoU=10.0 * epoch, step=epoch))
    scalars = start / 'vis_data' / 'scalars.json'
    scalars.write_text('\n'.join(map(json.dumps, lines)))
    (start / f'{start.name}.log').write_text('x - INFO - Epoch(train)  [1][20/50]  lr: 1e-3\n')
    run = read_run(tmp_path)
    assert run.problem is None and run.validations == [(50, 10.0), (100, 20.0)] and run.iterations == 100
    assert run.seconds == pytest.approx(50)
    scalars.write_text('\n'.join(map(json.dumps, lines[:-1])))
    assert read_run(tmp_path).problem == 'stopped at epoch 1 of 2'


def test_a_seed_that_was_drawn_stands_in_the_log(tmp_path):
    run = read_run(write_run(tmp_path, alone(), [30.0], seed=None, processes=8))
    assert run.seed == 12345 and run.processes == 8


def test_a_run_without_its_text_log_lacks_only_what_stood_there(tmp_path):
    write_run(tmp_path, alone(), [30.0], seed=0, classes=CLASSES)
    (tmp_path / '20261121_114443' / '20261121_114443.log').unlink()
    run = read_run(tmp_path)
    assert run.problem is None and run.miou == 30.0 and run.seed == 0 and run.class_iou == {} and run.processes == 1


def test_a_folder_with_several_configs_goes_by_its_own_name(tmp_path):
    write_run(tmp_path / 'mine', alone(), [30.0], name='one')
    (tmp_path / 'mine' / 'two.py').write_text('')
    assert read_run(tmp_path / 'mine').title == 'mine'


def test_runs_are_found_below_the_folders(tmp_path):
    write_run(tmp_path / 'sweep' / 'lr' / 'pi' / '0_seed0', distilled(), [30.0])
    (tmp_path / 'sweep' / 'lr' / 'pi' / '1_seed0').mkdir()
    (tmp_path / 'sweep' / 'lr' / 'pi' / '1_seed0' / 'run.json').write_text('{}')
    (tmp_path / 'sweep' / 'study.db').write_text('')
    write_run(tmp_path / 'alone', alone(), [30.0])
    (tmp_path / 'nothing').mkdir()
    given = [
        tmp_path / 'sweep',
        tmp_path / 'alone',
        tmp_path / 'sweep' / 'study.db',
        tmp_path / 'nothing',
        tmp_path / 'alone',
    ]
    assert [str(path.relative_to(tmp_path)) for path in find_runs(given)] == [
        'sweep/lr/pi/0_seed0',
        'sweep/lr/pi/1_seed0',
        'alone',
        'nothing',
    ]
    with pytest.raises(ValueError, match='no such folder: .*elsewhere'):
        find_runs([tmp_path / 'elsewhere'])


def test_runs_behind_links_are_found_but_once(tmp_path):
    (tmp_path / 'disk' / 'run' / 'start' / 'vis_data').mkdir(parents=True)
    (tmp_path / 'work_dirs').mkdir()
    for name in ('first', 'second'):
        (tmp_path / 'work_dirs' / name).symlink_to(tmp_path / 'disk' / 'run')
    (tmp_path / 'disk' / 'run' / 'up').symlink_to(tmp_path / 'work_dirs')
    assert find_runs([tmp_path / 'work_dirs']) == [tmp_path / 'work_dirs' / 'first']


def test_the_table_of_the_helper_is_drawn_like_the_real_one():
    assert table({'Sky': 82.38}).splitlines()[:3] == [
        '+-------+-------+------+',
        '| Class |  IoU  | Acc  |',
        '+-------+-------+------+',
    ]


@pytest.mark.parametrize(
    'times, pointed, expected',
    [
        (dict(iter_2=1, iter_4=2), 'iter_4', ['iter_4', 'iter_2']),
        # Killed between the checkpoint and the file that names it.
        (dict(iter_2=1, iter_4=2, iter_6=3), 'iter_4', ['iter_6', 'iter_4', 'iter_2']),
        # A longer training was in the folder before.
        (dict(iter_8=0, iter_2=1, iter_4=2), 'iter_4', ['iter_4', 'iter_2']),
        # A copy: the times say nothing.
        (dict(iter_4=1, iter_2=2), 'iter_4', ['iter_4', 'iter_2']),
        # Stopped within the second epoch.
        (dict(epoch_1=1, iter_7=2), 'iter_7', ['iter_7', 'epoch_1']),
        (dict(epoch_1=1, iter_7=2), 'epoch_1', ['epoch_1', 'iter_7']),
        # No name, an empty one, or that of a file which is gone.
        (dict(iter_4=1, iter_6=2), None, ['iter_6', 'iter_4']),
        (dict(iter_4=1, iter_6=2), '', ['iter_6', 'iter_4']),
        (dict(iter_4=1, iter_6=2), 'iter_8', ['iter_6', 'iter_4']),
        ({}, 'iter_8', []),
    ],
)
def test_the_newest_checkpoint_comes_first(tmp_path, times, pointed, expected):
    for name, time in [*times.items(), ('best_mIoU_iter_9', 9), ('iter_x', 9)]:
        (tmp_path / f'{name}.pth').touch()
        os.utime(tmp_path / f'{name}.pth', (time, time))
    if pointed is not None:
        (tmp_path / 'last_checkpoint').write_text(f'/elsewhere/{pointed}.pth' if pointed else '')
    assert [path.stem for path in saved_checkpoints(tmp_path)] == expected


def test_a_checkpoint_may_have_another_name(tmp_path):
    (tmp_path / 'step.1000.pth').touch()
    assert saved_checkpoints(tmp_path / 'missing') == [] == saved_checkpoints(tmp_path)
    assert saved_checkpoints(tmp_path, 'step.{}.pth') == [tmp_path / 'step.1000.pth']


def test_a_validation_that_a_resumed_start_repeats_counts_once(tmp_path):
    folder = write_run(tmp_path / 'a', alone(), [10.0, 20.0])
    (start,) = folder.glob('*/vis_data')
    again = folder / '20991231_000000' / 'vis_data'
    again.mkdir(parents=True)
    (again / 'config.py').write_text((start / 'config.py').read_text())
    before = read_run(folder).validations
    (again / 'scalars.json').write_text(json.dumps(dict(mIoU=21.0, step=before[-1][0])) + '\n')
    (again.parent / '20991231_000000.log').write_text(f'resumed epoch: 0, iter: {before[-1][0]}\n')
    assert read_run(folder).validations == [before[0], (before[-1][0], 21.0)]
