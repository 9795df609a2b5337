"""What a network costs to run, what a student cost to distil, and after how many images it has paid that back."""

import json
import logging
import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmseg.registry import MODELS
from torch import nn

from ..distillers.inference import image_channels, image_size
from ..distillers.teacher import build_teachers, in_precision
from ..io.checkpoint import load_weights
from ..io.configs import outer_preprocessor, segmentor_config
from ..io.files import write_atomically
from ..io.runs import read_run
from ..io.tables import Rows, csv_table, markdown_table
from .summary import cost

IMAGES = 10_000
JOULES = 3.6e6  # in a kWh
LEAST_REPEATS, MOST_REPEATS, WARM_UP = 5, 200, 3
ENERGY_FILE = 'energy.json'
Size = tuple[int, int]

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


def measure_latency(runs: dict[str, Callable[[], Any]], seconds: float) -> dict[str, float]:
    """Median seconds of a call of each, after a warm-up.

    They take turns, so that what else happens on the machine meets all of them.

    Args:
        runs: by name; each waits until what it computes is done.
        seconds: that all calls together take, at least; but there are at least 5 calls of each and at most 200.
    """
    for run in runs.values():
        for _ in range(WARM_UP):
            run()
    times: dict[str, list[float]] = {name: [] for name in runs}
    begin = time.perf_counter()
    for repeat in range(MOST_REPEATS):
        if repeat >= LEAST_REPEATS and time.perf_counter() - begin >= seconds:
            break
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def peak_memory(run: Callable[[], Any], device: torch.device) -> int:
    """The most bytes that torch's allocator had handed out at once during a call, beyond those before it.

    On a GPU they are torch's own count; on a CPU they are added up from the allocations and releases that torch's
    profiler records. Neither knows what libraries take by themselves, or Python.

    Args:
        run: what to call.
        device: that it computes on.
    """
    if device.type == 'cuda':
        torch.cuda.synchronize(device)
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        run()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    with torch.autograd.profiler.profile(profile_memory=True) as profiler:
        run()
    events = [event for event in profiler.kineto_results.events() if event.name() == '[memory]']
    now = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        now += event.nbytes()
        peak = max(peak, now)
    return peak


class Network:
    """A segmentor, or several that answer together, ready to be measured.

    Args:
        name: in the tables.
        modules: the segmentors.
        scales: how much larger than asked for each of them sees the images, on a side.
        weights: where they come from, in a word.
        dtypes: precision that each of them runs in; float32 by default.
    """

    def __init__(
        self,
        name: str,
        modules: Sequence[nn.Module],
        scales: Sequence[float],
        weights: str,
        dtypes: Sequence[torch.dtype | None] | None = None,
    ) -> None:
        self.name, self.weights = name, weights
        self._dtypes = dtypes or [None] * len(modules)
        self._modules = [module.eval().requires_grad_(False) for module in modules]
        self._scales = list(scales)

    @property
    def training_size(self) -> Size:
        """Height and width of training images, where the preprocessor fixes them, or 512 x 512."""
        return image_size(self._modules[0].data_preprocessor)

    def to(self, device: torch.device) -> 'Network':
        """Move it."""
        for module in self._modules:
            module.to(device)
        return self

    def cost(self, size: Size) -> tuple[int, int]:
        """Parameters, and multiply-adds (which MMEngine calls FLOPs) for one image of the size (H, W)."""
        counts = [cost(module, _scaled(size, scale)) for module, scale in zip(self._modules, self._scales)]
        return sum(parameters for parameters, _ in counts), sum(flops for _, flops in counts)

    def bytes(self) -> int:
        """Of parameters and buffers."""
        return sum(tensor.nbytes for module in self._modules for tensor in (*module.parameters(), *module.buffers()))

    def runner(self, batch: int, size: Size, device: torch.device) -> Callable[[], None]:
        """A call that makes label maps of ``batch`` preprocessed images (H, W) on the device, and waits for them."""
        generator = torch.Generator().manual_seed(0)
        images = []
        for module, scale in zip(self._modules, self._scales):
            noise = torch.randn(batch, image_channels(module), *_scaled(size, scale), generator=generator)
            images.append(noise.to(device))

        def run() -> None:
            with torch.no_grad():
                for module, inputs, dtype in zip(self._modules, images, self._dtypes):
                    with in_precision(dtype, device.type):
                        module(inputs, mode='predict')
            if device.type == 'cuda':
                torch.cuda.synchronize(device)

        return run


def _scaled(size: Size, scale: float) -> Size:
    return tuple(round(side * scale) for side in size)


def load_networks(config: Config, checkpoint: str | None = None) -> list[Network]:
    """Student and teachers of a distiller, or a plain segmentor.

    Weights hardly matter to what a network costs: those that are not at hand are left random, and none is downloaded.

    Args:
        config: of either.
        checkpoint: of the student, or of the segmentor.
    """
    distilled = 'teacher' in config.model
    module = MODELS.build(segmentor_config(config))
    if checkpoint is not None:
        load_weights(module, checkpoint)
    weights = 'random' if checkpoint is None else 'trained'
    networks = [Network('student' if distilled else 'network', [module], [1], weights)]
    teachers = build_teachers(_at_hand(config.model.teacher), outer_preprocessor(config)) if distilled else {}
    for name, teacher in teachers.items():
        kinds = {'trained' if member.checkpoint else 'random' for member in teacher.members}
        networks.append(
            Network(
                f'teacher {name}'.strip(),
                [member.module for member in teacher.members],
                [member.scale for member in teacher.members],
                ' and '.join(sorted(kinds)),
                [member.dtype for member in teacher.members],
            )
        )
    return networks


def _at_hand(spec: Any) -> Any:
    """A teacher's specification, without the checkpoints that are no local file."""
    if isinstance(spec, (list, tuple)):
        return [_at_hand(member) for member in spec]
    if not isinstance(spec, dict):
        return spec
    if not {'config', 'model'} & spec.keys():
        return {name: _at_hand(member) for name, member in spec.items()}
    found = Path(spec.get('checkpoint') or '').is_file()
    return dict(spec, checkpoint=spec['checkpoint'] if found else None)


@dataclass
class NetworkCost:
    """What was measured of a network; the keys of dicts are sizes (H, W), or batch and size.

    Args:
        name: of the network.
        weights: where they came from.
        parameters: of what is deployed.
        flops: multiply-adds for one image.
        latency: median seconds for one batch.
        memory: bytes of weights and of the most that was allocated beside them.
        images: that were seen while energy was measured.
        energy: that was measured, if it was.
    """

    name: str
    weights: str
    parameters: int
    flops: dict[Size, int] = field(default_factory=dict)
    latency: dict[tuple[int, Size], float] = field(default_factory=dict)
    memory: dict[tuple[int, Size], int] = field(default_factory=dict)
    images: int = 0
    energy: Energy | None = None

    @property
    def kwh(self) -> float:
        """Energy of one image."""
        return self.energy.kwh / self.images

    @property
    def co2(self) -> float:
        """Kilograms of one image."""
        return self.energy.co2 / self.images


def measure_networks(
    networks: Sequence[Network],
    batches: Sequence[int],
    sizes: Sequence[Size],
    device: torch.device,
    seconds: float,
    country: str | None = None,
    report: Callable[[str], None] = lambda text: None,
) -> list[NetworkCost]:
    """Measure everything but training. Energy: at the first batch and size.

    Args:
        networks: to measure; they take turns where time is measured.
        batches: numbers of images at once.
        sizes: (H, W) of the images, as the network sees them.
        device: to measure on.
        seconds: that each time measurement, and each energy measurement of a network, takes at least.
        country: see :func:`energy_tracker`; None measures no energy.
        report: is told what is measured next.

    Raises:
        ImportError: if codecarbon is not installed, but there is a country.
        ValueError: if a number is too small, or the country unknown.
    """
    if not batches or min(batches) < 1 or not sizes or min(map(min, sizes)) < 1 or seconds <= 0:
        raise ValueError(
            'batches and sizes must be >= 1, and seconds > 0, but they are '
            f'{list(batches)}, {list(sizes)} and {seconds}'
        )
    if country:
        energy_tracker(country)  # a missing package or a wrong country is told before minutes of measuring
    results = [NetworkCost(network.name, network.weights, network.cost(sizes[0])[0]) for network in networks]
    for size in sizes:
        report(f'multiply-adds at {_text(size)}')
        for network, result in zip(networks, results):
            result.flops[size] = network.cost(size)[1]
        for batch in batches:
            report(f'time and memory of {batch} x {_text(size)}')
            runs = {network.name: network.to(device).runner(batch, size, device) for network in networks}
            times = measure_latency(runs, seconds)
            for network, result in zip(networks, results):
                result.latency[batch, size] = times[network.name]
                result.memory[batch, size] = network.bytes() + peak_memory(runs[network.name], device)
    for network, result in zip(networks, results) if country else ():
        report(f'energy of the {network.name}')
        run = network.runner(batches[0], sizes[0], device)
        run()
        calls, result.energy = measure_energy(run, seconds, country)
        result.images = calls * batches[0]
    return results


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


def break_even(training: float, teacher: float, student: float) -> int | None:
    """Images after which the student has saved, beside its teacher, what its training cost; None: never.

    Args:
        training: energy of the student's training, the teacher's forward passes in it.
        teacher: energy of an image by the teacher.
        student: likewise, by the student.
    """
    return math.ceil(training / (teacher - student)) if student < teacher else None


def cost_report(title: str, results: Sequence[NetworkCost], device: str, training: Energy | None = None) -> str:
    """Everything as Markdown tables, and what the numbers rest on.

    Args:
        title: of the report.
        results: student first.
        device: what was measured on, in words.
        training: of the student.
    """
    parts = [
        f'## {title}',
        f'On {device}. From preprocessed images on the device to label maps; median time of a batch.',
        markdown_table(_network_rows(results)),
        markdown_table(_speed_rows(results)),
        "Memory: weights and the most that torch's allocator had handed out beside them at once"
        + ('. ' if device.startswith('GPU') else ' (CPU: by its profiler). ')
        + 'Multiply-adds are what MMEngine calls FLOPs. Weights: '
        + ', '.join(f'{result.weights} ({result.name})' for result in results)
        + '.',
    ]
    first = results[0]
    if first.energy is not None:
        (batch, size), *_ = first.latency
        parts.append(
            f'Energy: {IMAGES} inferences extrapolated from a window of '
            + ', '.join(
                f'{result.energy.seconds:.1f} s and {result.images} images ({result.name})' for result in results
            )
            + f', at batch {batch} and {_text(size)}.\n'
            + '\n'.join(f'- {result.name}: {result.energy.basis}.' for result in results)
        )
    if training is not None:
        parts.append(
            f'Training of the student: {1000 * training.kwh:.4g} Wh, {1000 * training.co2:.4g} g CO2. {training.basis}.'
        )
        parts += [_break_even_sentence(first, teacher, training) for teacher in results[1:]]
    return '\n\n'.join(parts) + '\n'


def _break_even_sentence(student: NetworkCost, teacher: NetworkCost, training: Energy) -> str:
    images, saved = break_even(training.kwh, teacher.kwh, student.kwh), (teacher.kwh - student.kwh) * JOULES
    if images is None:
        return (
            f'Break-even with the {teacher.name}: never. The student needs {-saved:.4g} J more an image than it, '
            'by this measurement.'
        )
    return (
        f'Break-even with the {teacher.name}: {images} images. The student saves {saved:.4g} J an image, and its '
        "training cost that many times as much (the teacher's own training is not counted)."
    )


def _network_rows(results: Sequence[NetworkCost]) -> Rows:
    sizes = list(results[0].flops)
    header = ['', 'parameters, M', *(f'multiply-adds at {_text(size)}, G' for size in sizes)]
    if results[0].energy is not None:
        header += [f'{IMAGES} inferences, Wh', f'{IMAGES} inferences, g CO2', 'power, W']
    rows = [header]
    for result in results:
        flops = (result.flops[size] / 1e9 for size in sizes)
        row = [result.name, f'{result.parameters / 1e6:.3f}', *('-' if math.isnan(x) else f'{x:.3f}' for x in flops)]
        if result.energy is not None:
            row += [f'{1000 * IMAGES * value:.4g}' for value in (result.kwh, result.co2)]
            row.append(f'{result.energy.watts:.1f}')
        rows.append(row)
    return rows


def _speed_rows(results: Sequence[NetworkCost]) -> Rows:
    rows = [('', 'size', 'batch', 'latency, ms', 'images/s', 'memory, MB')]
    for batch, size in results[0].latency:
        for result in results:
            seconds = result.latency[batch, size]
            rows.append(
                (
                    result.name,
                    _text(size),
                    str(batch),
                    f'{1000 * seconds:.2f}',
                    f'{batch / seconds:.2f}',
                    f'{result.memory[batch, size] / 1e6:.1f}',
                )
            )
    return rows


def cost_csv(results: Sequence[NetworkCost], training: Energy | None = None) -> str:
    """One line a number: network, quantity, unit, batch, size, value.

    Args:
        results: student first.
        training: of the student.
    """
    rows: list[tuple[Any, ...]] = [('network', 'quantity', 'unit', 'batch', 'size', 'value')]
    for result in results:
        rows.append((result.name, 'parameters', '', '', '', result.parameters))
        rows += [(result.name, 'multiply-adds', '', 1, _text(size), flops) for size, flops in result.flops.items()]
        for (batch, size), seconds in result.latency.items():
            rows.append((result.name, 'latency', 's', batch, _text(size), f'{seconds:.6g}'))
            rows.append((result.name, 'throughput', 'images/s', batch, _text(size), f'{batch / seconds:.6g}'))
            rows.append((result.name, 'memory', 'byte', batch, _text(size), result.memory[batch, size]))
        if result.energy is not None:
            batch, size = next(iter(result.latency))
            for name, unit, value in (('energy', 'kWh', result.kwh), ('CO2', 'kg', result.co2)):
                what = f'{name} of {IMAGES} inferences'
                rows.append((result.name, what, unit, batch, _text(size), f'{IMAGES * value:.6g}'))
    if training is not None:
        rows.append((results[0].name, 'energy of training', 'kWh', '', '', f'{training.kwh:.6g}'))
        rows.append((results[0].name, 'CO2 of training', 'kg', '', '', f'{training.co2:.6g}'))
        for teacher in results[1:]:
            images = break_even(training.kwh, teacher.kwh, results[0].kwh)
            rows.append(
                (
                    results[0].name,
                    f'break-even with the {teacher.name}',
                    'images',
                    '',
                    '',
                    'never' if images is None else images,
                )
            )
    return csv_table([[str(cell) for cell in row] for row in rows])


def _text(size: Size) -> str:
    return f'{size[0]}x{size[1]}'
