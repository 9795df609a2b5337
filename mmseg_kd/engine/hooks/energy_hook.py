from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS

from ...profiling.energy import ENERGY_FILE, Energy, energy_of, energy_tracker, load_energy, save_energy


@HOOKS.register_module()
class EnergyHook(Hook):
    """Measure the energy of training, including validation, and write it to ``work_dir/energy.json``.

    The file is updated at every measurement, so a killed run keeps its measurements. A resumed run adds to them,
    including repeated iterations; a new run starts at zero. Only the machine of the main process is measured.

    Args:
        country: Country code with three letters (ISO 3166), for the CO2 emissions of its electricity.
        interval: Seconds between two measurements.

    Raises:
        ImportError: If codecarbon is not installed.
        ValueError: If codecarbon does not know the country.
    """

    def __init__(self, country: str, interval: float = 15.0) -> None:
        energy_tracker(country, interval)  # a missing package must be reported before the run starts
        self._country, self._interval = country, interval
        self._tracker: Any = None

    def before_train(self, runner: Runner) -> None:
        if not is_main_process():
            return
        path = Path(runner.work_dir, ENERGY_FILE)
        before = load_energy(path) if runner.iter > 0 and path.is_file() else None
        recorder = _Recorder(path, before)
        recorder.tracker = self._tracker = energy_tracker(self._country, self._interval, [recorder])
        self._tracker.start()

    def after_train(self, runner: Runner) -> None:
        if self._tracker is not None:
            self._tracker.stop()


class _Recorder:
    """Implementation of codecarbon's ``BaseOutput`` that does not need codecarbon to be installed."""

    def __init__(self, path: Path, before: Energy | None) -> None:
        self._path, self._before = path, before
        self.tracker: Any = None

    def live_out(self, total: Any, delta: Any) -> None:
        energy = energy_of(total, self.tracker)
        if self._before is not None:
            energy.seconds += self._before.seconds
            energy.kwh += self._before.kwh
            energy.co2 += self._before.co2
        save_energy(self._path, energy)

    out = live_out

    def task_out(self, data: Any, experiment_name: str) -> None:
        """There are no tasks."""

    def exit(self) -> None:
        """Nothing is open."""
