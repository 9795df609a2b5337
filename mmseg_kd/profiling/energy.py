"""Energy of a computation, measured with codecarbon. Only this module reads codecarbon's private attributes."""

import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..io.files import write_atomically
from ..io.runs import read_run

JOULES = 3.6e6  # in a kWh
ENERGY_FILE = 'energy.json'
# How codecarbon measures the processor's power, by the name of its method.
CPU_BASIS = {
    'Intel Rapl': "read from the processor's energy counter (RAPL)",
    'Windows Emi': "read from the machine's energy meter",
    'Intel Power Gadget': "read from the processor's power gauge",
    'Cpu Load': "estimated from the processor's load and its nominal or guessed power, because no counter is readable",
}


@dataclass
class Energy:
    """Energy and CO2 of a computation.

    Args:
        seconds: Duration in seconds.
        kwh: Energy in kWh.
        co2: Kilograms of CO2 equivalents for the mean electricity mix of the country.
        basis: Description of how the numbers were measured or estimated.
    """

    seconds: float
    kwh: float
    co2: float
    basis: str

    @property
    def watts(self) -> float:
        """Mean power in watts."""
        return self.kwh * JOULES / self.seconds


def energy_tracker(country: str, interval: float = 1.0, recorders: Sequence[Any] = ()) -> Any:
    """A tracker of codecarbon that never uses the internet; call its ``start`` and ``stop``.

    Args:
        country: Three-letter country code (ISO 3166), for the CO2 of its electricity.
        interval: Seconds between two measurements.
        recorders: Objects with the methods of codecarbon's ``BaseOutput``; ``live_out`` is called at every measurement.

    Raises:
        ImportError: If codecarbon is not installed.
        ValueError: If codecarbon does not know the country.
    """
    try:
        from codecarbon import OfflineEmissionsTracker
        from codecarbon.input import DataSource
    except ImportError as error:
        raise ImportError('energy needs codecarbon: pip install "mmseg-kd[cost]"') from error
    if country not in DataSource().get_global_energy_mix_data():
        raise ValueError(f'country must be a three-letter code that codecarbon knows, such as FRA, but is {country!r}')
    # codecarbon logs every measurement, and warns about other running trackers.
    logging.getLogger('codecarbon').setLevel(logging.ERROR)
    return OfflineEmissionsTracker(
        country_iso_code=country,
        measure_power_secs=interval,
        api_call_interval=1,
        output_methods=[],
        output_handlers=list(recorders),
        # With None, codecarbon would read a token from the user's settings and contact a server.
        electricitymaps_api_token='',
        emissions_endpoint=False,
        allow_multiple_runs=True,
        log_level='error',
    )


def energy_of(data: Any, tracker: Any) -> Energy:
    """The energy that a tracker has counted.

    Args:
        data: ``EmissionsData`` of the tracker.
        tracker: Tracker of codecarbon.
    """
    counted = dict(CPU=data.cpu_energy, GPU=data.gpu_energy, RAM=data.ram_energy)
    parts = [f'{name} {kwh * JOULES / data.duration:.1f} W' for name, kwh in counted.items() if kwh]
    # No public attribute tells an estimate from a measurement.
    hardware = ', '.join(map(str, getattr(tracker, '_conf', {}).get('hardware', [])))
    known = [text for name, text in CPU_BASIS.items() if f'({name})' in hardware]
    cpu = known[0] if known else f'by codecarbon as {hardware or "unknown"}'
    gpu = ['GPU: read from its energy counter'] if 'GPU(' in hardware else []
    basis = '; '.join(
        [
            ' + '.join(parts) or 'no power',
            f'CPU: {cpu}',
            *gpu,
            'RAM: estimated from its size',
            'for the whole machine, including all other programs',
        ]
    )
    return Energy(data.duration, data.energy_consumed, data.emissions, basis)


def measure_energy(run: Callable[[], Any], seconds: float, country: str) -> tuple[int, Energy]:
    """Call a function repeatedly; returns the number of calls and their energy.

    Args:
        run: Function that returns when its computation is finished.
        seconds: Minimal duration of all calls together.
        country: Country code, as in :func:`energy_tracker`.

    Raises:
        RuntimeError: If codecarbon cannot measure.
    """
    tracker = energy_tracker(country)
    tracker.start()
    begin, calls = time.perf_counter(), 0
    while not calls or time.perf_counter() - begin < seconds:
        run()
        calls += 1
    spent = time.perf_counter() - begin
    tracker.stop()
    data = getattr(tracker, 'final_emissions_data', None)
    if data is None:
        raise RuntimeError('codecarbon could not measure on this machine; leave --country out')
    counted = energy_of(data, tracker)
    # The tracker's own time includes stopping it.
    share = spent / counted.seconds
    return calls, replace(counted, seconds=spent, kwh=counted.kwh * share, co2=counted.co2 * share)


def training_seconds(run: str | Path) -> float:
    """Seconds of a run's training iterations by its log, without validation and without repeated iterations.

    Args:
        run: Work directory of the run.

    Raises:
        ValueError: If the log has no times.
    """
    read = read_run(run)
    if not read.seconds:
        raise ValueError(
            f'{run} must be the work directory of a training run whose log has times of iterations, but '
            f'{read.problem or "its log has no times"}'
        )
    return read.seconds


def training_energy(run: str | Path, measured: Sequence[Energy]) -> Energy:
    """Energy of a training run: counted by ``EnergyHook``, or estimated from the seconds in its log.

    Args:
        run: Work directory of the run.
        measured: Energies of the networks on this machine; the estimate uses the highest power among them.
    """
    problem = read_run(run).problem
    caution = f'; but the run is not complete: {problem}' if problem else ''
    path = Path(run, ENERGY_FILE)
    if path.is_file():
        counted = load_energy(path)
        basis = f'Counted by EnergyHook over {counted.seconds:.0f} s, validation included; {counted.basis}{caution}'
        return replace(counted, basis=basis)
    seconds, most = training_seconds(run), max(measured, key=lambda energy: energy.watts)
    kwh = most.watts * seconds / JOULES
    return Energy(
        seconds,
        kwh,
        kwh * most.co2 / most.kwh if most.kwh else 0.0,
        f'Estimate: {seconds:.0f} s of training iterations by the log, without validation, times {most.watts:.1f} W, '
        'the highest power of an inference on this machine. It is valid for a run on this machine only; EnergyHook '
        f'measures instead{caution}',
    )


def save_energy(path: Path, energy: Energy) -> None:
    """Write an energy as JSON; an existing file is replaced only by a complete one."""
    write_atomically(path, json.dumps(vars(energy), indent=1))


def load_energy(path: Path) -> Energy:
    """Read a file of :func:`save_energy`."""
    return Energy(**json.loads(path.read_text()))
