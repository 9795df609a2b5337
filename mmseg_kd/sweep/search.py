"""One search of a sweep, a candidate in a stage, as an Optuna study that several workers share."""

import json
import statistics
import time
import warnings
import zlib
from typing import Any

from .claims import Claims, engine_arguments
from .plan import Stage, Sweep

OPENING_TRIES = 8
# The median of fewer is a matter of luck.
TRIALS_BEFORE_PRUNING = 4


class Search:
    """The trials of a candidate in a stage: one per point of the grid, or as many as are to be drawn.

    All trials are written when the search is opened, waiting; a worker that has claimed one draws its values. Optuna's
    own queue would do for one worker, but with SQLite two may pop the same trial from it. What is known of a run, one
    seed of a trial, stands in the trial's user attributes as ``seed_<seed>``.

    Args:
        sweep: that it is part of.
        stage: likewise.
        candidate: its name.
        storage: of the study.
    """

    def __init__(self, sweep: Sweep, stage: Stage, candidate: str, storage: Any) -> None:
        self.stage, self.candidate, self._storage = stage, candidate, storage
        self.key = f'{stage.name}/{candidate}'
        self.name = f'{sweep.name}/{self.key}'
        self._points = stage.points()
        self._study: Any = None
        self.trials: dict[int, Any] = {}

    def open(self, definition: dict, claims: Claims) -> None:
        """Create the study, or join it.

        Args:
            definition: all that its results depend on.
            claims: to let one worker at a time write its trials.

        Raises:
            ValueError: if it was begun with another definition.
        """
        import optuna

        pruner = (
            optuna.pruners.NopPruner()
            if self.stage.prune_after is None
            else optuna.pruners.MedianPruner(
                n_startup_trials=TRIALS_BEFORE_PRUNING, n_warmup_steps=self.stage.prune_after
            )
        )
        self._study = optuna.create_study(
            study_name=self.name, storage=self._storage, direction='maximize', pruner=pruner, load_if_exists=True
        )
        definition = json.loads(json.dumps(definition))
        claim = claims.wait(f'{self.name}/trials')
        try:
            before = self._study.user_attrs.get('definition')
            if before is None:
                self._study.set_user_attr('definition', definition)
            elif before != definition:
                changed = sorted(key for key in definition if definition[key] != before.get(key))
                old, new = (
                    ', '.join(f'{key} = {values.get(key)}' for key in changed) for values in (before, definition)
                )
                raise ValueError(
                    f'{self.name} was begun with {old}, but is now {new}; give the sweep another name and '
                    'work_dir, or the stage another name'
                )
            self.refresh()
            for point, params in enumerate(self._points):
                if point not in self.trials:
                    self._study.enqueue_trial(params, user_attrs=dict(point=point))
        finally:
            claim.release()
        self.refresh()

    def retry(self, claims: Claims) -> int:
        """Queue the failed runs again, with the values that they had; how many."""
        from optuna.trial import TrialState

        claim = claims.wait(f'{self.name}/trials')
        count = 0
        try:
            self.refresh()
            for point, trial in self.trials.items():
                if trial.state == TrialState.FAIL:
                    kept = {f'seed_{seed}': run for seed, run in runs(trial).items() if run['state'] != 'failed'}
                    self._study.enqueue_trial(trial.params, user_attrs=dict(point=point, **kept))
                    count += len(self.stage.seeds) - len(kept)
        finally:
            claim.release()
        self.refresh()
        return count

    def refresh(self) -> None:
        """Read the trials; of a repeated one, the last counts."""
        trials = self._study.get_trials(deepcopy=False)
        latest = {trial.user_attrs['point']: trial for trial in trials if 'point' in trial.user_attrs}
        self.trials = {point: latest[point] for point in range(len(self._points)) if point in latest}

    @property
    def over(self) -> bool:
        """Whether all trials are finished."""
        return all(trial.state.is_finished() for trial in self.trials.values())

    @property
    def best(self) -> Any | None:
        """The best trial, the first of equals; None if none was completed."""
        from optuna.trial import TrialState

        complete = [trial for trial in self.trials.values() if trial.state == TrialState.COMPLETE]
        return max(complete, key=lambda trial: trial.value, default=None)

    def fixed(self, values: dict[str, Any]) -> dict[str, Any]:
        """The values from the stages before that all trials share: those given by the worker that asks first."""
        if 'fixed' not in self._study.user_attrs:
            self._study.set_user_attr('fixed', values)
        return self._study.user_attrs['fixed']

    def pending(self, trial: Any) -> list[int]:
        """The seeds that a worker may claim: without values, only the first of them, whose worker draws."""
        if trial.state.is_finished():
            return []
        seeds = [seed for seed in self.stage.seeds if seed not in runs(trial)]
        return seeds if self.stage.space.keys() <= trial.params.keys() else seeds[:1]

    def draw(self, point: int) -> Any:
        """Optuna's trial of a point, running, its values drawn unless they were before."""
        import optuna

        number = self.trials[point].number
        trial_id = self._storage.get_trial_id_from_study_id_trial_number(
            self._storage.get_study_id_from_name(self.name), number
        )
        self._storage.set_trial_state_values(trial_id, optuna.trial.TrialState.RUNNING)
        self._study.sampler = self._sampler(number)
        trial = optuna.trial.Trial(self._study, trial_id)
        for key, choice in self.stage.space.items():
            if isinstance(choice, dict):
                whole = isinstance(choice['low'], int) and isinstance(choice['high'], int)
                suggest = trial.suggest_int if whole else trial.suggest_float
                suggest(key, choice['low'], choice['high'], log=choice.get('log', False))
            else:
                trial.suggest_categorical(key, choice)
        return trial

    def finish(self, trial: Any) -> bool:
        """Judge a trial when all its runs are over, unless another worker did; whether there was something to judge."""
        from optuna.exceptions import UpdateFinishedTrialError
        from optuna.trial import TrialState

        found = runs(trial)
        if trial.state.is_finished() or any(seed not in found for seed in self.stage.seeds):
            return False
        states = {run['state'] for run in found.values()}
        value = None
        state = TrialState.PRUNED if 'pruned' in states else TrialState.COMPLETE
        state = TrialState.FAIL if 'failed' in states else state
        if state == TrialState.COMPLETE:
            value = statistics.mean(found[seed]['value'] for seed in self.stage.seeds)
        try:
            self._study.tell(trial.number, value, state=state, skip_if_finished=True)
        except UpdateFinishedTrialError:
            pass
        return True

    def _sampler(self, number: int) -> Any:
        """A sampler whose draws depend on the trial and on what is known, and not on when its worker began."""
        from optuna import samplers

        seed = zlib.crc32(f'{self.name}/{number}'.encode())
        if self.stage.sampler == 'tpe':
            return samplers.TPESampler(seed=seed, constant_liar=True)
        return samplers.RandomSampler(seed=seed)


def runs(trial: Any) -> dict[int, dict]:
    """What is known of the runs of a trial, by seed: ``state``, ``value``, ``error``, ``seconds``."""
    prefix = 'seed_'
    return {int(key[len(prefix) :]): value for key, value in trial.user_attrs.items() if key.startswith(prefix)}


def open_storage(url: str) -> Any:
    """Optuna's storage at a database URL.

    Raises:
        ImportError: if Optuna, or the driver of the database, is not installed.
        ValueError: if the database doesn't answer.
    """
    try:
        import optuna
    except ImportError as error:
        raise ImportError('a sweep needs Optuna: pip install "mmseg-kd[sweep]"') from error
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import SQLAlchemyError

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings('ignore', category=optuna.exceptions.ExperimentalWarning)
    for left in reversed(range(OPENING_TRIES)):
        try:
            return optuna.storages.RDBStorage(url, engine_kwargs=engine_arguments(url))
        except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
            # Workers that start together may all find no tables, and all but one fail to create them.
            if not left:
                shown = make_url(url).render_as_string(hide_password=True)
                raise ValueError(
                    f'--storage must be the URL of a database that answers, but {shown} gave: '
                    f'{str(error).splitlines()[0]}'
                ) from None
            time.sleep(0.5)
