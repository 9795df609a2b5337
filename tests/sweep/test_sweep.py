import io
import json
import math
import multiprocessing
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from fork_server import forked_python
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

from mmseg_kd.cache.shards import FORMAT
from mmseg_kd.datasets import write_digit_scenes
from mmseg_kd.engine.checks import precision_checks
from mmseg_kd.io.configs import read_config
from mmseg_kd.io.safe_pickle import UnsafeFileError
from mmseg_kd.io.stop_signals import stop_signals
from mmseg_kd.sweep import caches as caches_module
from mmseg_kd.sweep import sweep as sweep_module
from mmseg_kd.sweep.plan import load_sweep
from mmseg_kd.sweep.storage import open_storage
from mmseg_kd.sweep.sweep import dry_run, run_sweep
from mmseg_kd.sweep.training_process import validations
from mmseg_kd.sweep.worker import prepare_folder

optuna = pytest.importorskip('optuna')
FORK = multiprocessing.get_context('fork')
LR, DECAY = 'optim_wrapper.optimizer.lr', 'optim_wrapper.optimizer.weight_decay'
CACHE = 'model.teacher.cache'
TEMPERATURE, WEIGHT = 'model.terms.loss_pi.loss.temperature', 'model.terms.loss_pi.weight'

# Trains nothing: writes logs and checkpoints as MMEngine does, fails where it should, and records its arguments.
TRAINER = r"""
import fcntl, json, math, os, signal, sys, time, zipfile
from pathlib import Path

arguments = sys.argv[1:]
work_dir = Path(arguments[arguments.index('--work-dir') + 1])
options = dict(text.split('=', 1) for text in arguments[arguments.index('--cfg-options') + 1:] if '=' in text)
journal, pid = Path(os.environ['JOURNAL']), Path(os.environ['JOURNAL'] + '.pid')

def tell(event):
    with journal.open('a') as file:
        file.write(f'{event} {work_dir}\n')

pid.write_text(str(os.getpid()))
lock = (work_dir / 'lock').open('w')
try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    tell('meets-another')
begin = int(Path((work_dir / 'last_checkpoint').read_text()).stem[5:]) if '--resume' in arguments else 0
tell(f'begins-at-{begin}')
(work_dir / 'options.json').write_text(json.dumps(options))
lr, temperature = float(options.get('optim_wrapper.optimizer.lr', 0.1)), float(options.get(
    'model.terms.loss_pi.loss.temperature', 3))
if lr > 1:
    raise FloatingPointError(f'iteration 1: losses must be finite, but loss = nan with lr = {lr}')
miou = 50 + int(options['randomness.seed']) - 100 * abs(lr - 0.01) - float(
    options.get('optim_wrapper.optimizer.weight_decay', 0)) - abs(temperature - 3) - abs(
    math.log10(float(options.get('model.terms.loss_pi.weight', 0.1))) + 1)
born, iterations, mode = time.time(), int(options.get('train_cfg.max_iters', 20)), os.environ.get('MODE')
logs = work_dir / f'{time.time_ns()}' / 'vis_data'
logs.mkdir(parents=True)

def log(**entry):
    with (logs / 'scalars.json').open('a') as file:
        file.write(json.dumps(entry) + '\n')

for step in range(begin + 1, iterations + 1):
    time.sleep(float(os.environ.get('PACE', 0)))
    # A training that the test stops on the way waits for the signal there.
    while os.environ.get('HOLD') == str(lr) and begin == 0 and step == 7 and time.time() < born + 600:
        time.sleep(0.01)
    log(loss=1 / step, iter=step, step=step)
    if mode == 'dies':
        os.kill(os.getpid(), signal.SIGKILL)
    if step % 3 == 0 or step == iterations:
        path = work_dir / f'iter_{step}.pth'
        with zipfile.ZipFile(path, 'w') as file:
            file.writestr('weights', 'x' * 100000)
        (work_dir / 'last_checkpoint').write_text(str(path))
        if mode != 'is-never-validated':
            log(mIoU=miou * step / iterations, step=step)
tell('ends')
"""
STAGES = [
    dict(name='optimizer', candidates=['alone', 'pi'], seeds=[0], space={LR: [10.0, 0.1, 0.01], DECAY: [0.0, 2.0]}),
    dict(name='temperature', candidates=['pi'], seeds=[0], space={TEMPERATURE: [1.0, 4.0, 6.0]}),
    dict(
        name='weight',
        candidates=['both'],
        seeds=[0, 1],
        sampler='tpe',
        trials=2,
        space={WEIGHT: dict(low=1e-3, high=1.0, log=True)},
    ),
    dict(name='final', candidates=['alone', 'pi', 'both'], seeds=[1, 2]),
]
RUNS = 6 + 6 + 3 + 4 + 6


def workplaces(root):

    def make(name='work', stages=STAGES, **changes):
        folder = root / name
        folder.mkdir()
        (folder / 'trainer.py').write_text(TRAINER)
        (folder / 'alone.py').write_text(
            'optim_wrapper = dict(optimizer=dict(lr=0.1, weight_decay=0.0))\n'
            'train_cfg = dict(max_iters=20, val_interval=6)\n'
            'val_dataloader = dict(dataset=dict(type="CamVidDataset"), sampler=dict(type="DefaultSampler"))\n'
            'val_cfg = dict()\nval_evaluator = dict(type="IoUMetric")\n'
            'default_hooks = dict(logger=dict(log_metric_by_epoch=False))\n'
            'param_scheduler = [dict(type="PolyLR", begin=0, end=20, by_epoch=False)]\n'
        )
        (folder / 'pi.py').write_text(
            "_base_ = './alone.py'\nmodel = dict(type='Distiller', student=dict(type='EncoderDecoder'), teacher=dict(config='t.py'), terms=dict(loss_pi=dict(student='logits', teacher='logits', loss=dict(type='PixelWiseKDLoss', temperature=1.0), weight=0.1)))\n"
        )
        content = dict(
            name='toy',
            work_dir=str(folder / 'runs'),
            seeds=[0],
            budget=dict(kind='iterations', value=10),
            candidates=dict(
                alone=str(folder / 'alone.py'),
                pi=str(folder / 'pi.py'),
                both=dict(
                    config=str(folder / 'pi.py'),
                    inherit='pi',
                    options=dict(model=dict(terms=dict(loss_pi=dict(loss=dict(type='PixelWiseKDLoss'))))),
                ),
            ),
            stages=stages,
        )
        content.update(changes)
        (folder / 'sweep.py').write_text('\n'.join(f'{key} = {value!r}' for key, value in content.items()))
        return Workplace(folder)

    return make


class Workplace:
    def __init__(self, folder):
        self.folder, self.journal, self.printed = folder, folder / 'journal', io.StringIO()

    @property
    def sweep(self):
        return load_sweep(str(self.folder / 'sweep.py'))

    def run(self, **arguments):
        os.environ['JOURNAL'] = str(self.journal)
        trainer = [sys.executable, '-I', '-S', str(self.folder / 'trainer.py')]
        return run_sweep(self.sweep, trainer, poll=0.02, out=self.printed, **arguments)

    def start(self):
        """A worker in a process of its own."""
        worker = FORK.Process(target=self._work)
        worker.start()
        return worker

    def _work(self):
        with stop_signals('the same command continues'):
            self.run()

    def events(self, kind=''):
        """What trainings told, in order, as pairs of the event and the run."""
        lines = self.journal.read_text().splitlines() if self.journal.exists() else []
        pairs = [line.split(' ', 1) for line in lines]
        return [(event, os.path.relpath(run, self.folder / 'runs')) for event, run in pairs if event.startswith(kind)]

    def read(self, run, name='run.json'):
        return json.loads((self.folder / 'runs' / run / name).read_text())

    def training(self):
        """The process of the training at hand; None if none was started yet."""
        try:
            return int((self.folder / 'journal.pid').read_text())
        except (OSError, ValueError):
            return None


@pytest.fixture
def workplace(tmp_path):
    """Makes folders with a sweep file and the files that it needs."""
    return workplaces(tmp_path)


@pytest.fixture(scope='module')
def undisturbed(tmp_path_factory):
    """A finished sweep with its output."""
    place = workplaces(tmp_path_factory.mktemp('sweep'))()
    place.table = place.run()
    return place


def row(table, name):
    (line,) = (line for line in table.splitlines() if line.startswith(f'| {name} '))
    return [cell.strip() for cell in line.strip('|').split('|')][1:]


def until(condition, seconds=600):  # until a test fails; a busy machine may need most of them
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, 'waited too long'
        time.sleep(0.01)


def alive(pid):
    try:
        return Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0] != 'Z'
    except OSError:
        return False


def test_each_stage_starts_from_the_best_of_those_before(undisturbed):
    table = undisturbed.table
    # 50 + seed - 100 |lr - 0.01| - decay - |temperature - 3| - |log10(weight) + 1|, and no temperature is as good as 3.
    assert row(table, 'optimizer/alone') == ['50.00', '6, 2 failed', f'{LR}=0.01 (the smallest tried), {DECAY}=0.0']
    assert row(table, 'temperature/pi') == ['49.00', '3', f'{TEMPERATURE}=4.0']
    assert row(table, 'final/alone') == ['51.50 ± 0.71', '1', f'{LR}=0.01, {DECAY}=0.0']
    assert row(table, 'final/pi') == ['50.50 ± 0.71', '1', f'{LR}=0.01, {DECAY}=0.0, {TEMPERATURE}=4.0']
    best, other = sorted(
        (undisturbed.read(f'weight/both/{trial}_seed0')['params'] for trial in (0, 1)),
        key=lambda params: abs(math.log10(params[WEIGHT]) + 1),
    )
    assert best == {LR: 0.01, DECAY: 0.0, TEMPERATURE: 4.0, WEIGHT: best[WEIGHT]} and 1e-3 <= other[WEIGHT] <= 1
    off = abs(math.log10(best[WEIGHT]) + 1)
    assert row(table, 'weight/both') == [f'{49.5 - off:.2f} ± 0.71', '2', f'{WEIGHT}={best[WEIGHT]}']
    assert row(table, 'final/both')[0] == f'{50.5 - off:.2f} ± 0.71'
    assert undisturbed.read('final/both/0_seed2')['params'] == best


def test_each_run_is_an_ordinary_training_with_a_record(undisturbed):
    assert sorted(run for _, run in undisturbed.events('begins-at-0')) == sorted(
        str(path.parent.relative_to(undisturbed.folder / 'runs')) for path in undisturbed.folder.rglob('run.json')
    )
    assert len(undisturbed.events('begins')) == RUNS
    assert undisturbed.read('temperature/pi/1_seed0') == dict(
        sweep='toy',
        stage='temperature',
        candidate='pi',
        config=str(undisturbed.folder / 'pi.py'),
        options={},
        params={LR: 0.01, DECAY: 0.0, TEMPERATURE: 4.0},
        seed=0,
        iterations=10,
        budget=dict(kind='iterations', value=10),
        step_seconds=None,
        state='complete',
        error=None,
        miou=49.0,
    )
    assert undisturbed.read('final/both/0_seed2', 'options.json') == {
        'model.terms.loss_pi.loss.type': 'PixelWiseKDLoss',
        'train_cfg.max_iters': '10',
        'train_cfg.val_interval': '3',
        'param_scheduler.0.end': '10',
        LR: '0.01',
        DECAY: '0.0',
        TEMPERATURE: '4.0',
        WEIGHT: str(undisturbed.read('final/both/0_seed2')['params'][WEIGHT]),
        'randomness.seed': '2',
    }


def test_a_failed_run_is_recorded_and_the_sweep_continues(undisturbed):
    error = 'FloatingPointError: iteration 1: losses must be finite, but loss = nan with lr = 10.0'
    record = undisturbed.read('optimizer/pi/1_seed0')
    assert (record['state'], record['error'], record['miou']) == ('failed', error, None)
    assert undisturbed.table.endswith(
        'failed:\n'
        + '\n'.join(
            f'optimizer/{candidate}/{trial}_seed0: {error}' for candidate in ('alone', 'pi') for trial in (0, 1)
        )
    )


def test_without_a_terminal_each_event_is_a_line(undisturbed):
    lines = undisturbed.printed.getvalue().splitlines()
    assert lines[0] == f'[0/{RUNS}] optimizer/alone/0_seed0 starts {LR}=10.0 {DECAY}=0.0'
    assert re.fullmatch(
        rf'\[3/{RUNS}\] optimizer/alone/2_seed0 complete after [\d.]+ s: mIoU 41.00, [\d.]+ s left', lines[5]
    )
    assert lines[-2].endswith(f'python tools/compare.py {undisturbed.folder}/runs/final')
    assert lines[-1].endswith(
        f'python tools/compare.py {undisturbed.folder}/runs --out {undisturbed.folder}/runs/comparison'
    )


def test_the_study_is_optunas_and_holds_every_run(undisturbed):
    study = optuna.load_study(study_name='toy/weight/both', storage=open_storage(undisturbed.folder / 'runs'))
    assert [trial.state.name for trial in study.trials] == ['COMPLETE', 'COMPLETE']
    for number, trial in enumerate(study.trials):
        values = [undisturbed.read(f'weight/both/{number}_seed{seed}')['miou'] for seed in (0, 1)]
        assert trial.value == pytest.approx(sum(values) / 2)
        assert [trial.user_attrs[f'seed_{seed}']['value'] for seed in (0, 1)] == values


def test_a_finished_sweep_started_again_runs_nothing(undisturbed):
    before = undisturbed.events()
    assert undisturbed.run() == undisturbed.table
    assert undisturbed.events() == before


def test_two_workers_share_a_sweep_and_no_run_is_done_twice(workplace, undisturbed, monkeypatch):
    monkeypatch.setenv('PACE', '0.01')
    place = workplace()
    workers = [place.start(), place.start()]
    running = set()
    while any(worker.is_alive() for worker in workers):
        running.add(len([path for path in place.folder.glob('runs/*/*/*/run.json') if '"running"' in path.read_text()]))
        time.sleep(0.1)
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert 2 in running
    runs = [run for _, run in place.events('begins')]
    assert len(runs) == len(set(runs)) == RUNS and not place.events('meets-another')
    table = place.run()
    assert [run for _, run in place.events('begins')] == runs
    for name in ('optimizer/alone', 'optimizer/pi', 'temperature/pi', 'final/alone', 'final/pi'):
        # The samples of TPE depend on which of its trials was finished first.
        assert row(table, name) == row(undisturbed.table, name)


def disturb(place, kills, seed):
    """Kill worker, training or both, or stop the worker as SLURM does, and start it again; then let it finish."""
    chance, worker, done = random.Random(seed), place.start(), 0
    while done < kills:
        if chance.random() < 0.8:  # otherwise the worker may open the database or wait
            until(lambda: not worker.is_alive() or place.training() and alive(place.training()))
        worker.join(chance.uniform(0.0, 0.5))
        if not worker.is_alive():  # a busy machine let this process wait until the sweep was over
            break
        victims = chance.choice(['worker', 'training', 'both', 'stop'])
        training = place.training()
        if victims == 'stop':
            worker.terminate()
            worker.join()
            # The signal may come before the worker is ready for it.
            assert worker.exitcode in (0, -signal.SIGTERM) and not alive(place.training())
            worker = place.start()
            done += 1
            continue
        if victims != 'worker' and training and alive(training):
            os.kill(training, signal.SIGKILL)
            done += 1
        if victims != 'training':
            worker.kill()
            worker.join()
            worker = place.start()
            done += 1
    worker.join()
    assert worker.exitcode == 0
    return place.run()


@pytest.mark.parametrize('kills, pace', [(5, 0.05), pytest.param(20, 0.1, marks=pytest.mark.slow)])
def test_kills_at_random_moments_do_not_change_the_result(kills, pace, workplace, undisturbed, monkeypatch):
    monkeypatch.setenv('PACE', str(pace))
    monkeypatch.setattr('mmseg_kd.sweep.storage.LOCK_GRACE', 3)
    place = workplace()
    assert disturb(place, kills, seed=kills) == undisturbed.table
    ends = [run for _, run in place.events('ends')]
    assert not place.events('meets-another')
    begins = place.events('begins')
    assert len(begins) > RUNS  # some runs were interrupted
    for index, (event, run) in enumerate(begins):
        assert (event == 'begins-at-0') or run in [earlier for _, earlier in begins[:index]]
    # A worker may be killed after its training has ended and before it records that; the training then resumes at
    # its end.
    assert set(ends) == {run for _, run in undisturbed.events('ends')}


def test_a_killed_training_resumes_from_its_checkpoint(workplace, monkeypatch):
    monkeypatch.setenv('HOLD', '0.1')
    place = workplace(stages=[dict(name='final', candidates=['alone'])])
    worker, run = place.start(), place.folder / 'runs/final/alone/0_seed0'
    until(lambda: validations(run, 'mIoU').keys() == {3, 6})
    os.kill(place.training(), signal.SIGKILL)
    worker.join()
    assert [event for event, _ in place.events()] == ['begins-at-0', 'begins-at-6', 'ends']
    assert row(place.run(), 'final/alone')[0] == '41.00'


def test_an_interrupted_worker_stops_its_training_and_releases_the_run(workplace, monkeypatch):
    monkeypatch.setenv('PACE', '1')
    place = workplace(stages=[dict(name='final', candidates=['alone'])])
    worker = place.start()
    until(place.training)
    training = place.training()
    assert alive(training)
    os.kill(worker.pid, signal.SIGINT)
    worker.join()
    assert not alive(training)
    monkeypatch.setenv('PACE', '0')
    assert row(place.run(), 'final/alone')[0] == '41.00'


def test_a_run_that_is_killed_repeatedly_fails(workplace, monkeypatch):
    monkeypatch.setenv('MODE', 'dies')
    place = workplace(stages=[dict(name='final', candidates=['alone'])])
    assert (
        'final/alone/0_seed0: killed 6 times without a new checkpoint (exit code -9); is memory short?' in place.run()
    )
    assert len(place.events('begins')) == 6


def test_a_study_after_a_failed_one_is_skipped_until_a_repeated_run_succeeds(workplace, monkeypatch):
    monkeypatch.setenv('MODE', 'is-never-validated')
    stages = [
        dict(name='optimizer', candidates=['alone'], space={LR: [10.0, 0.1]}),
        dict(name='final', candidates=['alone']),
    ]
    place = workplace(stages=stages)
    table = place.run()
    assert row(table, 'optimizer/alone') == ['-', '2, 2 failed', '-']
    assert row(table, 'final/alone') == ['-', '-', 'skipped: an earlier study has no complete trial']
    assert 'optimizer/alone/1_seed0: validation must log mIoU, but logged None; set val_evaluator' in table
    monkeypatch.delenv('MODE')
    before = len(place.events('begins'))
    table = place.run(retry_failed=True)
    assert row(table, 'optimizer/alone') == ['41.00', '2, 1 failed', f'{LR}=0.1']
    assert row(table, 'final/alone') == ['41.00', '1', f'{LR}=0.1']
    assert [run for _, run in place.events('begins')[before:]] == [
        'optimizer/alone/0_seed0',
        'optimizer/alone/1_seed0',
        'final/alone/0_seed0',
    ]
    assert '2 failed runs are queued again' in place.printed.getvalue()


def test_of_a_failed_trial_only_the_failed_seeds_are_repeated(workplace, monkeypatch):
    place = workplace(stages=[dict(name='final', candidates=['alone'], seeds=[0, 1])])
    trainer = (place.folder / 'trainer.py').read_text()
    (place.folder / 'trainer.py').write_text(
        trainer.replace("tell('ends')", "assert options['randomness.seed'] == '0', 'seed 1'\ntell('ends')")
    )
    assert 'final/alone/0_seed1: AssertionError: seed 1' in place.run()
    (place.folder / 'trainer.py').write_text(trainer)
    assert row(place.run(retry_failed=True), 'final/alone')[:2] == ['41.50 ± 0.71', '1']
    # It had written its last checkpoint and validated it.
    assert place.events('begins') == [
        ('begins-at-0', 'final/alone/0_seed0'),
        ('begins-at-0', 'final/alone/0_seed1'),
        ('begins-at-10', 'final/alone/0_seed1'),
    ]


def test_a_trial_below_the_median_is_pruned(workplace, monkeypatch):
    monkeypatch.setenv('HOLD', '0.3')
    stage = dict(
        name='optimizer', candidates=['alone'], prune_after=5, space={LR: [0.01, 0.02, 0.03, 0.04, 0.3, 0.015]}
    )
    place = workplace(stages=[stage])
    table = place.run()
    assert row(table, 'optimizer/alone')[:2] == ['50.00', '6, 1 pruned']
    record = place.read('optimizer/alone/4_seed0')
    # 50 - 29 at the end, a share of it at iteration 6; never pruned before iteration 5.
    assert record['state'] == 'pruned' and record['miou'] == pytest.approx(21 * 0.6)
    assert ('ends', 'optimizer/alone/4_seed0') not in place.events()


def test_a_changed_sweep_is_not_mixed_with_the_old_one(workplace):
    place = workplace(stages=[dict(name='final', candidates=['alone'], space={LR: [0.1]})])
    place.run()
    file = place.folder / 'sweep.py'
    content = file.read_text()
    file.write_text(content.replace('[0.1]', '[0.2]'))
    with pytest.raises(
        ValueError, match=r'toy/final/alone was started with space = .*0.1\]}, but now has space = .*0.2\]}'
    ):
        place.run()
    file.write_text(content.replace("'value': 10", "'value': 11"))
    with pytest.raises(
        ValueError, match='toy was started with budget = .*10}, but now has .*11}; change the name and work_dir'
    ):
        place.run()


def test_a_new_stage_may_follow(workplace):
    place = workplace(stages=[dict(name='one', candidates=['alone'], space={LR: [0.1, 0.01]})])
    place.run()
    file = place.folder / 'sweep.py'
    file.write_text(file.read_text() + "\nstages.append(dict(name='more', candidates=['alone'], seeds=[7]))")
    assert row(place.run(), 'more/alone') == ['57.00', '1', f'{LR}=0.01']


def test_a_missing_teacher_is_reported_before_any_run(workplace):
    place = workplace(stages=[dict(name='final', candidates=['alone', 'pi'])])
    with (place.folder / 'pi.py').open('a') as file:
        file.write(
            'model.update(teacher=[dict(config="x", checkpoint="auto"), dict(config="y", checkpoint="gone.pth")])\n'
        )
    with pytest.raises(
        FileNotFoundError, match='candidates.pi: no such checkpoint of the teacher: gone.pth; train the teacher first'
    ):
        place.run()
    assert not place.events()


def test_without_optuna_the_error_says_what_to_install(workplace, monkeypatch):
    monkeypatch.setitem(sys.modules, 'optuna', None)
    with pytest.raises(ImportError, match=r'a sweep needs Optuna: pip install "mmseg-kd\[sweep\]"'):
        workplace().run()


def test_a_database_that_does_not_answer_is_named(workplace, monkeypatch):
    monkeypatch.setattr('mmseg_kd.sweep.storage.OPENING_TRIES', 1)
    with pytest.raises(
        ValueError, match=r'--storage must be the URL of a database that answers, but sqlite:///\S+ gave: '
    ):
        workplace().run(storage='sqlite:////nowhere/at/all.db')


def test_a_budget_in_seconds_is_measured_once_and_the_table_has_both_costs(workplace, monkeypatch):
    place = workplace(stages=[dict(name='final', candidates=['alone', 'pi'])], budget=dict(kind='seconds', value=3))
    measured = []

    def measure(candidates, folder, lease, heartbeat):
        measured.append(list(candidates))
        return dict(alone=0.2, pi=0.4)

    monkeypatch.setattr(sweep_module, '_measure', measure)
    table = place.run()
    assert place.run() == table and measured == [['alone', 'pi']]
    assert [row(table, name) for name in ('alone', 'pi')] == [['15', '0.2', '3'], ['7', '0.4', '2.8']]
    options = place.read('final/pi/0_seed0', 'options.json')
    assert (options['train_cfg.max_iters'], options['param_scheduler.0.end']) == ('7', '7')
    record = place.read('final/alone/0_seed0')
    assert (record['iterations'], record['step_seconds'], record['budget']) == (15, 0.2, dict(kind='seconds', value=3))


def test_a_dry_run_shows_all_runs_and_their_time(workplace, monkeypatch):
    place = workplace(stages=STAGES)
    monkeypatch.setattr(sweep_module, '_measure', lambda *_: dict(alone=1.0, pi=90.0, both=720.0))
    out = io.StringIO()
    dry_run(place.sweep, out)
    assert row(out.getvalue(), 'optimizer/pi/5_seed0') == ['10', '15 min', f'{LR}=0.01; {DECAY}=2.0']
    assert row(out.getvalue(), 'temperature/pi/0_seed0') == ['10', '15 min', f'{TEMPERATURE}=1.0; best of optimizer']
    assert row(out.getvalue(), 'weight/both/1_seed1') == [
        '10',
        '2.0 h',
        f'tpe: {WEIGHT}; best of optimizer, temperature',
    ]
    # (6 + 2) * 10 s + (6 + 3 + 2) * 900 s + (4 + 2) * 7200 s
    assert out.getvalue().endswith(f'\n{RUNS} runs; 14.8 h of training steps for one worker, without validation\n')
    assert not (place.folder / 'runs').exists()


def test_precisions_that_the_cpu_emulates_are_told_once(workplace, monkeypatch):
    monkeypatch.setattr(precision_checks, 'get_device', lambda: 'cpu')
    monkeypatch.setattr(precision_checks, 'relative_cpu_time', lambda dtype: 5.0)
    monkeypatch.setattr(sweep_module, '_measure', lambda *_: dict(alone=1.0, pi=90.0, both=720.0))
    place = workplace(stages=STAGES, options={'optim_wrapper.type': 'BFloat16OptimWrapper'})
    out = io.StringIO()
    dry_run(place.sweep, out)
    assert out.getvalue().count('slower than float32') == 1
    assert '\n3 of 3 candidates: optim_wrapper.type=BFloat16OptimWrapper (--amp) is slower than' in out.getvalue()


def test_a_dry_run_without_data_says_why_the_time_is_unknown(workplace, monkeypatch):
    monkeypatch.setattr(sys, 'executable', forked_python())
    place = workplace(stages=[dict(name='final', candidates=['alone'])])
    out = io.StringIO()
    dry_run(place.sweep, out)
    assert row(out.getvalue(), 'final/alone/0_seed0') == ['10', '?', '']
    assert '1 runs; their time is unknown: a training step cannot be measured: ' in out.getvalue()


def test_a_cache_is_made_once_for_all_workers_and_counted_once(workplace, monkeypatch):
    stages = [
        dict(name='tune', candidates=['alone', 'pi'], space={LR: [0.1, 0.01]}),
        dict(name='final', candidates=['pi', 'both'], seeds=[1, 2]),
    ]
    loader = dict(sampler=dict(type='InfiniteSampler'), dataset=dict(type='CamVidDataset'))
    place = workplace(stages=stages, cache=dict(views=3), options=dict(train_dataloader=loader))

    def make(cache, candidate, lease, heartbeat, poll, say):
        with (place.folder / 'made').open('a') as file:
            file.write(f'{cache.number} {candidate.name} {candidate.options.get(CACHE)}\n')
        time.sleep(0.5)  # the other worker has to wait
        shards = Path(cache.folder, 'shards')
        shards.mkdir(parents=True)
        (shards / 'all.json').write_text(json.dumps(dict(bytes=2000, seconds=1.5)))
        (shards.parent / 'index.json').write_text(json.dumps(dict(format=FORMAT, views=3, paths={})))

    monkeypatch.setattr(caches_module, '_make', make)
    workers = [place.start(), place.start()]
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
    table = place.run()
    assert (place.folder / 'made').read_text() == '0 pi None\n'
    assert row(table, '0') == ['pi, both', '3', '0.002', '1.5', '6', '0.25']
    assert table.endswith('count once for the whole sweep: 1.5 s and 0.002 MB for 6 runs, 0.25 s for each run')
    folder = f'{place.folder}/runs/cache/0'
    assert place.read('final/both/0_seed1')['options'][CACHE] == folder
    assert place.read('final/both/0_seed1', 'options.json')[CACHE] == folder
    assert CACHE not in place.read('tune/alone/0_seed0', 'options.json')
    file = place.folder / 'sweep.py'
    content = file.read_text()
    for changed in ("{'views': 4}", 'None'):
        file.write_text(content.replace("{'views': 3}", changed))
        with pytest.raises(ValueError, match="toy was started with cache = .*'views': 3.*, but now has .*; change the"):
            place.run()


RECORD = dict(params={LR: 0.1}, iterations=9, state='running', error=None, miou=None)


@pytest.fixture
def left(tmp_path):
    """The folder of a killed run, with checkpoints after 6 and 9 iterations, the last one without validation."""
    import zipfile

    folder = tmp_path / 'run'
    (folder / '1' / 'vis_data').mkdir(parents=True)
    (folder / '1' / 'vis_data' / 'scalars.json').write_text('{"mIoU": 1.0, "step": 6}\n')
    for iteration in (6, 9):
        with zipfile.ZipFile(folder / f'iter_{iteration}.pth', 'w') as file:
            file.writestr('weights', 'x')
    (folder / 'run.json').write_text(json.dumps(RECORD))
    return folder


def test_the_last_checkpoint_counts_only_with_its_validation(left):
    assert prepare_folder(left, RECORD, 'mIoU') == left / 'iter_6.pth'
    (left / '1' / 'vis_data' / 'scalars.json').write_text('{"mIoU": 1.0, "step": 9}\n')
    assert prepare_folder(left, RECORD, 'mIoU') == left / 'iter_9.pth'


def test_the_folder_of_another_run_is_not_resumed(left):
    other = dict(RECORD, params={LR: 0.2})
    assert prepare_folder(left, other, 'mIoU') is None
    assert [path.name for path in left.iterdir()] == ['run.json']
    assert json.loads((left / 'run.json').read_text()) == other


ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_a_real_sweep_survives_a_kill(tmp_path):
    pytest.importorskip('sklearn')
    write_digit_scenes(tmp_path / 'digits', num_train=16, num_val=4)
    loader = dict(batch_size=4, dataset=dict(data_root=str(tmp_path / 'digits')))
    options = dict(
        train_dataloader=loader,
        val_dataloader=loader,
        train_cfg=dict(val_interval=200),
        default_hooks=dict(checkpoint=dict(interval=200)),
    )
    (tmp_path / 'sweep.py').write_text(
        f'name, work_dir, seeds, options = "real", "runs", [0, 1], {options!r}\n'
        'budget = dict(kind="iterations", value=40)\n'
        'candidates = dict(alone="mmseg_kd::demo/student.py", pi=dict(config="mmseg_kd::sweeps/digits/pi.py", '
        'options=dict(model=dict(teacher=dict(checkpoint="teacher/iter_2.pth")))))\n'
        f'stages = [dict(name="optimizer", candidates=["alone", "pi"], seeds=[0], space={{"{LR}": [1e-2, 1e30]}}),\n'
        '          dict(name="final", candidates=["alone", "pi"])]\n'
    )

    def tool(*command):
        return subprocess.Popen(
            [sys.executable, *map(str, command)],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, 'PYTHONWARNINGS': 'ignore'},
        )

    teacher = tool(
        ROOT / 'tools/train.py',
        'mmseg_kd::demo/teacher.py',
        '--work-dir',
        'teacher',
        '--cfg-options',
        'train_cfg.max_iters=2',
        f'train_dataloader.dataset.data_root={tmp_path}/digits',
        f'val_dataloader.dataset.data_root={tmp_path}/digits',
    )
    teacher.communicate()
    assert teacher.returncode == 0
    sweep = tool(ROOT / 'tools/sweep.py', 'sweep.py')
    hit = tmp_path / 'runs/optimizer/pi/0_seed0'
    until((hit / 'iter_10.pth').exists, 300)
    sweep.kill()
    sweep.communicate()
    sweep = tool(ROOT / 'tools/sweep.py', 'sweep.py')
    printed, _ = sweep.communicate()
    assert sweep.returncode == 0
    for name in ('final/alone', 'final/pi'):
        assert re.fullmatch(r'\d+\.\d\d ± \d+\.\d\d', row(printed, name)[0])
        assert row(printed, name)[2] == f'{LR}=0.01'
    assert re.search(r'resumed epoch: 0, iter: [123]0', (hit / 'output.log').read_text())
    assert list(validations(hit, 'mIoU')) == [10, 20, 30, 40]
    for candidate in ('alone', 'pi'):
        record = json.loads((tmp_path / f'runs/optimizer/{candidate}/1_seed0/run.json').read_text())
        assert record['error'].startswith('iteration ')
        record = json.loads((tmp_path / f'runs/final/{candidate}/0_seed1/run.json').read_text())
        assert (record['state'], record['params'], record['iterations']) == ('complete', {LR: 0.01}, 40)
        last = json.loads(
            next((tmp_path / f'runs/final/{candidate}/0_seed1').glob('*/vis_data/scalars.json'))
            .read_text()
            .splitlines()[-1]
        )
        assert (last['step'], last['mIoU']) == (40, record['miou'])
    assert (tmp_path / 'runs/final/pi/0_seed1/student/student.pth').exists()


@pytest.mark.slow
def test_a_real_sweep_continues_a_killed_cache_and_trains_with_it(tmp_path):
    pytest.importorskip('sklearn')
    write_digit_scenes(tmp_path / 'digits', num_train=16, num_val=4)
    loader = dict(batch_size=4, dataset=dict(data_root=str(tmp_path / 'digits')))
    pi = 'mmseg_kd::sweeps/digits/pi.py'
    options = dict(train_dataloader=loader, val_dataloader=loader, model=dict(teacher=dict(checkpoint='teacher.pth')))
    (tmp_path / 'sweep.py').write_text(
        'name, work_dir, seeds, cache = "real", "runs", [0], dict(views=60)\n'
        f'budget, options = dict(kind="seconds", value=1), {options!r}\n'
        f'candidates, stages = dict(pi="{pi}"), [dict(name="final", candidates=["pi"])]\n'
    )
    init_default_scope('mmseg')
    teacher = MODELS.build(read_config('mmseg_kd::demo/teacher.py').model)
    torch.save(dict(state_dict=teacher.state_dict()), tmp_path / 'teacher.pth')
    command, shards = [sys.executable, ROOT / 'tools/sweep.py', 'sweep.py'], tmp_path / 'runs/cache/0/shards'
    settings = dict(cwd=tmp_path, stdout=subprocess.PIPE, text=True, env={**os.environ, 'PYTHONWARNINGS': 'ignore'})
    sweep = subprocess.Popen(command, **settings)
    until(lambda: list(shards.glob('*.safetensors')) or sweep.poll() is not None)
    sweep.kill()
    sweep.communicate()
    before = {path: path.stat().st_mtime_ns for path in shards.glob('*.json')}
    assert not (shards.parent / 'index.json').exists()
    done = subprocess.run(command, **settings)
    assert done.returncode == 0, done.stdout[-3000:]
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert '16 images x 60 views: ' in done.stdout and 'cache 0 is complete: ' in done.stdout
    assert row(done.stdout, '0')[:2] == ['pi', '60'] and 'beside their budget of 1 s each' in done.stdout
    assert re.fullmatch(r'\d+\.\d\d', row(done.stdout, 'final/pi')[0])
    assert "cache='runs/cache/0'" in next((tmp_path / 'runs/final/pi/0_seed0').glob('*/vis_data/config.py')).read_text()


@pytest.mark.parametrize(
    'poison',
    [
        lambda study: study.set_user_attr('fixed', {'custom_imports.imports': ['evil']}),
        lambda study: study.enqueue_trial({LR: 99.0}, user_attrs={'point': 0}),
    ],
    ids=['values of earlier stages', 'values of the trial'],
)
@pytest.mark.parametrize('old', [False, True], ids=['journal', 'database of an earlier version'])
def test_a_database_of_somebody_else_gives_no_options_to_a_training(workplace, poison, old):
    stage = dict(name='only', candidates=['alone'], sampler='random', trials=1, space={LR: dict(low=0.01, high=0.1)})
    place = workplace(stages=[stage])
    (place.folder / 'runs').mkdir()
    storage = f'sqlite:///{place.folder}/runs/study.db' if old else open_storage(place.folder / 'runs')
    poison(optuna.create_study(study_name='toy/only/alone', storage=storage, direction='maximize'))
    with pytest.raises(UnsafeFileError, match=r'only/alone: the database of the sweep says .*, which no stage may'):
        place.run()
    assert place.events() == []
