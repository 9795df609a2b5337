"""One study of a sweep: the trials of one candidate in one stage, shared by several workers through Optuna."""

import json
import statistics
import zlib
from typing import Any

from .leases import Leases
from .plan import Stage, Sweep

# The median of fewer trials is mostly noise.
TRIALS_BEFORE_PRUNING = 4
INDEX = 'point'  # key of a trial's index in Optuna's user attributes; databases of running sweeps have it


class Study:
    """The trials of a candidate in a stage: one for each combination of a grid, or the stage's number of samples.

    All trials are written to the database when the study is opened. A worker that has leased a trial samples its
    values. Optuna's own queue would suffice if every trial were one training, but each seed is one.
    The result of each run (one seed of a trial) is stored in the trial's user attributes as ``seed_<seed>``.

    Args:
        sweep: sweep of the study.
        stage: stage of the study.
        candidate: name of the candidate.
        storage: Optuna's storage.

    Example:
        >>> from mmseg_kd.sweep.plan import Candidate
        >>> stage = Stage('tune', ('cwd',), seeds=(0,))
        >>> candidates = {'cwd': Candidate('cwd', 'cwd.py')}
        >>> sweep = Sweep('study', 'work', 'mIoU', dict(kind='iterations', value=100), candidates, (stage,))
        >>> Study(sweep, stage, 'cwd', storage=None).name
        'study/tune/cwd'
    """

    def __init__(self, sweep: Sweep, stage: Stage, candidate: str, storage: Any) -> None:
        self.stage, self.candidate, self._storage = stage, candidate, storage
        self.key = f'{stage.name}/{candidate}'
        self.name = f'{sweep.name}/{self.key}'
        self._values = stage.trial_values()
        self._study: Any = None
        self.trials: dict[int, Any] = {}

    def open(self, definition: dict, leases: Leases) -> None:
        """Create the study, or join it.

        Args:
            definition: settings that the results depend on.
            leases: leases of the sweep; they let one worker at a time write the trials.

        Raises:
            ValueError: if the study was started with another definition.
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
        lease = leases.wait(f'{self.name}/trials')
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
                    f'{self.name} was started with {old}, but now has {new}; change the name and work_dir of the '
                    'sweep, or the name of the stage'
                )
            self.refresh()
            for index, params in enumerate(self._values):
                if index not in self.trials:
                    self._study.enqueue_trial(params, user_attrs={INDEX: index})
        finally:
            lease.release()
        self.refresh()

    def retry(self, leases: Leases) -> int:
        """Queue the failed runs again, with the same values; the number of runs."""
        from optuna.trial import TrialState

        lease = leases.wait(f'{self.name}/trials')
        count = 0
        try:
            self.refresh()
            for index, trial in self.trials.items():
                if trial.state == TrialState.FAIL:
                    kept = {f'seed_{seed}': run for seed, run in runs(trial).items() if run['state'] != 'failed'}
                    self._study.enqueue_trial(trial.params, user_attrs={INDEX: index, **kept})
                    count += len(self.stage.seeds) - len(kept)
        finally:
            lease.release()
        self.refresh()
        return count

    def refresh(self) -> None:
        """Read the trials by index; the last one counts if a trial was repeated."""
        trials = self._study.get_trials(deepcopy=False)
        latest = {trial.user_attrs[INDEX]: trial for trial in trials if INDEX in trial.user_attrs}
        self.trials = {index: latest[index] for index in range(len(self._values)) if index in latest}

    @property
    def finished(self) -> bool:
        """Whether all trials are finished."""
        return all(trial.state.is_finished() for trial in self.trials.values())

    @property
    def best(self) -> Any | None:
        """The best complete trial, the first one of equal trials; None if no trial is complete."""
        from optuna.trial import TrialState

        complete = [trial for trial in self.trials.values() if trial.state == TrialState.COMPLETE]
        return max(complete, key=lambda trial: trial.value, default=None)

    def fixed(self, values: dict[str, Any]) -> dict[str, Any]:
        """The values from earlier stages that all trials share; the first worker that asks sets them."""
        if 'fixed' not in self._study.user_attrs:
            self._study.set_user_attr('fixed', values)
        return self._study.user_attrs['fixed']

    def pending(self, trial: Any) -> list[int]:
        """The seeds that a worker may lease. Before the values are sampled, this is the first seed only."""
        if trial.state.is_finished():
            return []
        seeds = [seed for seed in self.stage.seeds if seed not in runs(trial)]
        return seeds if self.stage.space.keys() <= trial.params.keys() else seeds[:1]

    def start(self, index: int) -> Any:
        """Set a trial to running, and sample its values unless it has them; Optuna's trial."""
        import optuna

        number = self.trials[index].number
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
        """Set the final state of a trial whose runs have all ended, unless another worker did.

        Returns:
            bool: whether all runs of the trial had ended and its final state was not yet known.
        """
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
        """A sampler whose samples depend on the trial and on known results, but not on when the worker started."""
        from optuna import samplers

        seed = zlib.crc32(f'{self.name}/{number}'.encode())
        if self.stage.sampler == 'tpe':
            return samplers.TPESampler(seed=seed, constant_liar=True)
        return samplers.RandomSampler(seed=seed)


def runs(trial: Any) -> dict[int, dict]:
    """The results of a trial's runs by seed, each with ``state``, ``value``, ``error`` and ``seconds``.

    Example:
        >>> from types import SimpleNamespace
        >>> runs(SimpleNamespace(user_attrs={'seed_1': dict(state='complete', value=60.0)}))
        {1: {'state': 'complete', 'value': 60.0}}
    """
    prefix = 'seed_'
    return {int(key[len(prefix) :]): value for key, value in trial.user_attrs.items() if key.startswith(prefix)}
