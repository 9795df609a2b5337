"""Energy that computing draws from the socket, measured with codecarbon, whose private parts are read here alone."""

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
# How codecarbon finds out what the processor draws, by the name that it gives its way.
CPU_BASIS = {
    'Intel Rapl': "read from the processor's energy counter (RAPL)",
    'Windows Emi': "read from the machine's energy meter",
    'Intel Power Gadget': "read from the processor's power gauge",
    'Cpu Load': "estimated from the processor's load and its nominal power, or a guess of it: no counter can be read",
}


@dataclass
class Energy:
    """What a stretch of computing drew from the socket.

    Args:
        seconds: how long it took.
        kwh: energy.
        co2: kilograms of CO2 equivalents, by the mean mix of the country's electricity.
        basis: what the numbers rest on.
    """

    seconds: float
    kwh: float
    co2: float
    basis: str

    @property
    def watts(self) -> float:
        """Mean power."""
        return self.kwh * JOULES / self.seconds


def energy_tracker(country: str, interval: float = 1.0, recorders: Sequence[Any] = ()) -> Any:
    """A tracker of codecarbon that never uses the network; :meth:`start` and :meth:`stop` it.

    Args:
        country: three letters (ISO 3166), for the CO2 of its electricity.
        interval: seconds between two measurements.
        recorders: objects with the methods of codecarbon's ``BaseOutput``; ``live_out`` is called at every measurement.

    Raises:
        ImportError: if codecarbon is not installed.
        ValueError: if it knows no such country.
    """
    try:
        from codecarbon import OfflineEmissionsTracker
        from codecarbon.input import DataSource
    except ImportError as error:
        raise ImportError('energy needs codecarbon: pip install "mmseg-kd[cost]"') from error
    if country not in DataSource().get_global_energy_mix_data():
        raise ValueError(f'country must be a three-letter code that codecarbon knows, such as FRA, but is {country!r}')
    # It says at every measurement that it measures, and at the first that others may, too.
    logging.getLogger('codecarbon').setLevel(logging.ERROR)
    return OfflineEmissionsTracker(
        country_iso_code=country,
        measure_power_secs=interval,
        api_call_interval=1,
        output_methods=[],
        output_handlers=list(recorders),
        # An empty one, because None would let it take one from the user's settings, and then ask a server.
        electricitymaps_api_token='',
        emissions_endpoint=False,
        allow_multiple_runs=True,
        log_level='error',
    )


def energy_of(data: Any, tracker: Any) -> Energy:
    """What a tracker has counted.

    Args:
        data: its ``EmissionsData``.
        tracker: that it is of.
    """
    counted = dict(CPU=data.cpu_energy, GPU=data.gpu_energy, RAM=data.ram_energy)
    parts = [f'{name} {kwh * JOULES / data.duration:.1f} W' for name, kwh in counted.items() if kwh]
    # Nothing public tells how; without it a reader would take an estimate for a measurement.
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
            'of the whole machine, with whatever else ran on it',
        ]
    )
    return Energy(data.duration, data.energy_consumed, data.emissions, basis)


def measure_energy(run: Callable[[], Any], seconds: float, country: str) -> tuple[int, Energy]:
    """Call ``run`` over and over for at least ``seconds``: how often, and what the machine drew meanwhile.

    Args:
        run: waits until what it computes is done.
        seconds: the least that the window lasts.
        country: see :func:`energy_tracker`.

    Raises:
        RuntimeError: if codecarbon gave up.
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
    # The tracker's window is a little longer, for it must stop, too.
    share = spent / counted.seconds
    return calls, replace(counted, seconds=spent, kwh=counted.kwh * share, co2=counted.co2 * share)


def training_seconds(run: str | Path) -> float:
    """Seconds that a run spent in training iterations, by its log; validation and what a resumed run repeats left out.

    Args:
        run: work directory.

    Raises:
        ValueError: if its log does not say.
    """
    read = read_run(run)
    if not read.seconds:
        raise ValueError(
            f'{run} must be the work directory of a training run whose log times its iterations, but '
            f'{read.problem or "its log has none"}'
        )
    return read.seconds


def training_energy(run: str | Path, measured: Sequence[Energy]) -> Energy:
    """What a training run drew: what ``EnergyHook`` has counted, or else the seconds in its log times a measured power.

    Args:
        run: work directory.
        measured: of the networks on this machine; the greatest power among them stands for that of training.
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
        f'{seconds:.0f} s of training iterations by its log, without validation, times {most.watts:.1f} W, the most '
        'power measured here while a network inferred: true only of a run on this machine; EnergyHook counts instead'
        f'{caution}',
    )


def save_energy(path: Path, energy: Energy) -> None:
    """Write it as JSON; the file appears, or changes, only when complete."""
    write_atomically(path, json.dumps(vars(energy), indent=1))


def load_energy(path: Path) -> Energy:
    """Read what :func:`save_energy` wrote."""
    return Energy(**json.loads(path.read_text()))
