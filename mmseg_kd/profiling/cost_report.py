"""Reports of the cost of networks, and of the number of images that pays back a student's training."""

import math
from collections.abc import Sequence
from typing import Any

from ..io.tables import Rows, csv_table, markdown_table
from .energy import JOULES, Energy
from .network_cost import NetworkCost, size_text

IMAGES = 10_000


def break_even(training: float, teacher: float, student: float) -> int | None:
    """Number of images after which the student has saved the energy of its training; None if it never does.

    Args:
        training: Energy of the student's training, including the teacher's forward passes.
        teacher: Energy of the teacher per image.
        student: Energy of the student per image.
    """
    return math.ceil(training / (teacher - student)) if student < teacher else None


def cost_report(title: str, results: Sequence[NetworkCost], device: str, training: Energy | None = None) -> str:
    """All costs as Markdown tables, with the way they were measured.

    Args:
        title: Title of the report.
        results: Costs of the networks, the student first.
        device: Description of the device.
        training: Energy of the student's training.
    """
    parts = [
        f'## {title}',
        f'Device: {device}. Latency: median time of a batch, from preprocessed images on the device to label maps.',
        markdown_table(_network_rows(results)),
        markdown_table(_speed_rows(results)),
        "Memory: weights plus the peak of torch's allocator"
        + ('. ' if device.startswith('GPU') else ', by the events of its profiler. ')
        + 'MACs (multiply-accumulate operations) are what MMEngine calls FLOPs. Weights: '
        + ', '.join(f'{result.weights} ({result.name})' for result in results)
        + '.',
    ]
    first = results[0]
    if first.energy is not None:
        (batch, size), *_ = first.latency
        parts.append(
            f'Energy: {IMAGES} inferences, extrapolated from '
            + ', '.join(
                f'{result.energy.seconds:.1f} s and {result.images} images ({result.name})' for result in results
            )
            + f', at batch {batch} and {size_text(size)}.\n'
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
            f'Break-even with the {teacher.name}: never. The student needs {-saved:.4g} J per image more than the '
            'teacher in this measurement.'
        )
    return (
        f'Break-even with the {teacher.name}: {images} images. The student saves {saved:.4g} J per image; this pays '
        "back its training, without the teacher's own training."
    )


def _network_rows(results: Sequence[NetworkCost]) -> Rows:
    sizes = list(results[0].macs)
    header = ['', 'parameters, M', *(f'MACs at {size_text(size)}, G' for size in sizes)]
    if results[0].energy is not None:
        header += [f'{IMAGES} inferences, Wh', f'{IMAGES} inferences, g CO2', 'power, W']
    rows = [header]
    for result in results:
        macs = (result.macs[size] / 1e9 for size in sizes)
        row = [result.name, f'{result.parameters / 1e6:.3f}', *('-' if math.isnan(x) else f'{x:.3f}' for x in macs)]
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
                    size_text(size),
                    str(batch),
                    f'{1000 * seconds:.2f}',
                    f'{batch / seconds:.2f}',
                    f'{result.memory[batch, size] / 1e6:.1f}',
                )
            )
    return rows


def cost_csv(results: Sequence[NetworkCost], training: Energy | None = None) -> str:
    """All costs as CSV, one value per line: network, quantity, unit, batch, size, value.

    Args:
        results: Costs of the networks, the student first.
        training: Energy of the student's training.
    """
    rows: list[tuple[Any, ...]] = [('network', 'quantity', 'unit', 'batch', 'size', 'value')]
    for result in results:
        rows.append((result.name, 'parameters', '', '', '', result.parameters))
        rows += [(result.name, 'MACs', '', 1, size_text(size), macs) for size, macs in result.macs.items()]
        for (batch, size), seconds in result.latency.items():
            rows.append((result.name, 'latency', 's', batch, size_text(size), f'{seconds:.6g}'))
            rows.append((result.name, 'throughput', 'images/s', batch, size_text(size), f'{batch / seconds:.6g}'))
            rows.append((result.name, 'memory', 'byte', batch, size_text(size), result.memory[batch, size]))
        if result.energy is not None:
            batch, size = next(iter(result.latency))
            for name, unit, value in (('energy', 'kWh', result.kwh), ('CO2', 'kg', result.co2)):
                what = f'{name} of {IMAGES} inferences'
                rows.append((result.name, what, unit, batch, size_text(size), f'{IMAGES * value:.6g}'))
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
    return csv_table(rows)
