"""Sweeps in the memory of this process, whose trainings are results that a test states."""

from types import SimpleNamespace

import pytest

from mmseg_kd.sweep.board import Board
from mmseg_kd.sweep.plan import Candidate, Stage, Sweep

optuna = pytest.importorskip('optuna')
LEASES = SimpleNamespace(wait=lambda work: SimpleNamespace(release=lambda: None))
LR = 'optim_wrapper.optimizer.lr'


def sweep_of(*stages, candidates=('pi',), **changes):
    found = {name: Candidate(name, f'{name}.py') for name in candidates}
    settings = dict(name='study', work_dir='work', metric='mIoU', budget=dict(kind='iterations', value=100))
    return Sweep(**dict(settings, **changes), candidates=found, stages=stages)


def tuning(**changes):
    return Stage(**dict(dict(name='tune', candidates=('pi',), seeds=(0, 1), space={LR: [0.1, 0.2, 0.3]}), **changes))


def final(**changes):
    return Stage(**dict(dict(name='final', candidates=('pi',), seeds=(0, 1, 2)), **changes))


def board_of(sweep, pace=0.5):
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    costs = {name: dict(iterations=100, step_seconds=pace) for name in sweep.candidates}
    board = Board(sweep, optuna.storages.InMemoryStorage(), costs)
    board.open(LEASES)
    return board


def record(study, index, values, state='complete', error=None, seconds=None):
    """Record one result a seed, and finish the trial."""
    trial = study.start(index)
    for seed, value in zip(study.stage.seeds, values):
        trial.set_user_attr(f'seed_{seed}', dict(state=state, value=value, error=error, seconds=seconds))
    study.refresh()
    study.finish(study.trials[index])
    study.refresh()
