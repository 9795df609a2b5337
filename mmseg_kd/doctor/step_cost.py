"""The cost of a training step, divided into student, teachers and terms."""

import copy
import math
import statistics
import sys
import time
from dataclasses import dataclass
from typing import Any

import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from mmseg.models.segmentors import BaseSegmentor
from torch.utils.data import DataLoader

from ..distillers import Distiller
from ..engine.teacher_cache import cache_obstacle, reads_mixtures
from ..io.progress import duration
from ..io.tables import markdown_table
from ..profiling.step_clock import TEACHER, StepClock, student_step, timed_parts
from .diagnosis import Reporter
from .loss_parts import Part, labeled_part

WARM_UP, STEPS = 1, 5
VIEWS = 5  # of each image, which the advice stores
WORTH = 0.1  # of the training's time, which the advice must save


@dataclass
class Cost:
    """Seconds (medians) and bytes of a step.

    Args:
        step: seconds of the whole step, without data loading.
        teachers: seconds of the teachers in the step.
        student: seconds of a step of the baseline, the student without a teacher.
        memory: peak memory of a step in bytes; that of the process if the device does not count it.
        student_memory: peak memory of a step of the baseline, without the teachers' weights; None if the device does
            not count it.

    Example:
        >>> Cost(step=1.0, teachers=0.25, student=0.5, memory=0).terms
        0.25
    """

    step: float
    teachers: float
    student: float
    memory: int
    student_memory: int | None = None

    @property
    def terms(self) -> float:
        """Seconds of the step without teachers and student."""
        return max(0.0, self.step - self.teachers - self.student)


def check_cost(
    report: Reporter,
    config: Config,
    model: BaseSegmentor,
    optimizer: OptimWrapper,
    loader: DataLoader,
    batch: dict,
    loading: float,
    parts: list[Part],
    seconds: float,
    views: int | None = None,
) -> Cost:
    """Measure time and memory of training steps, with and without distillation.

    Args:
        report: receiver of findings.
        config: training config.
        model: segmentor or distiller; its weights change.
        optimizer: optimizer of the model.
        loader: data loader of the training data.
        batch: batch before preprocessing.
        loading: seconds to load a batch.
        parts: losses from :func:`check_losses`; if one of them is not finite, later ones are not reported again.
        seconds: time limit, after which no further step starts.
        views: number of views whose teacher outputs are stored before the training; None if none are.
    """
    device = next(model.parameters()).device
    teachers = getattr(model, 'teachers', {})
    held = sum(
        p.numel() * p.element_size()
        for teacher in teachers.values()
        for member in teacher.members
        for p in member.module.parameters()
    )
    whole: list[float] = []
    alone: list[float] = []
    read: list[float] = []
    losses: dict[str, Any] = {}
    memory, student_memory = 0, 0
    begin = time.monotonic()
    model.train()
    _lower_rates(optimizer, config)
    clock = StepClock(device, time.monotonic)
    with timed_parts(clock, model, optimizer):
        for step in range(WARM_UP + STEPS):
            if whole and time.monotonic() - begin > seconds:
                break
            data = copy.deepcopy(batch)
            taken, peak, losses = _measured(device, lambda: model.train_step(data, optimizer))
            parts_of_step = clock.take()
            taken_alone, peak_alone = taken, peak
            if isinstance(model, Distiller):
                data = copy.deepcopy(batch)
                taken_alone, peak_alone, _ = _measured(
                    device, lambda: student_step(model, labeled_part(model.data_preprocessor(data, True)), optimizer)
                )
            if step >= WARM_UP:
                whole.append(taken)
                alone.append(taken_alone)
                read.append(parts_of_step.get(TEACHER, 0.0))
            memory, student_memory = max(memory, peak), max(student_memory, peak_alone)
    values = {name: torch.as_tensor(value).item() for name, value in losses.items() if 'loss' in name}
    not_finite = [f'{name} = {value:g}' for name, value in values.items() if not math.isfinite(value)]
    if not_finite and all(math.isfinite(part.value) and math.isfinite(part.gradient) for part in parts):
        report.failed(
            f'after {len(whole) + WARM_UP} steps {", ".join(not_finite)}; lower optim_wrapper.optimizer.lr or the '
            'weight of the term, or clip gradients (optim_wrapper.clip_grad)'
        )
    counted = device.type == 'cuda'
    medians = [statistics.median(times) for times in (whole, read, alone)]
    cost = Cost(medians[0], medians[1], medians[2], memory, student_memory - held if counted else None)
    total = iterations(config, loader)
    workers = max(1, config.train_dataloader.get('num_workers', 0))
    text = f'{cost.step:.3g} s, {memory / 2**30:.2f} GiB {"of the GPU" if counted else "held by the process"}'
    if total:
        text += f'; {total} steps take {duration(cost.step * total)}, without validation'
        text += _advice(config, cost, total, loader, views)
    if loading / workers > cost.step:
        report.warning(
            f'{text}; a batch takes {loading:.2f} s to load, so {workers} workers are too few: raise '
            'train_dataloader.num_workers'
        )
    else:
        report.ok(text)
    return cost


def cost_table(cost: Cost) -> str:
    """A table of seconds and memory of a distilled step and its parts.

    Example:
        >>> print(cost_table(Cost(step=1.0, teachers=0.25, student=0.5, memory=2**30)))
        | step             | seconds | relative to the baseline | peak memory, GiB |
        | ---------------- | ------: | -----------------------: | ---------------: |
        | baseline         |     0.5 |                   1.00 x |                  |
        | teachers         |    0.25 |                   0.50 x |                  |
        | terms (the rest) |    0.25 |                   0.50 x |                  |
        | whole            |       1 |                   2.00 x |             1.00 |
    """

    def gib(value: int | None) -> str:
        return '' if value is None else f'{value / 2**30:.2f}'

    rows = [['step', 'seconds', 'relative to the baseline', 'peak memory, GiB']]
    parts = (
        ('baseline', cost.student, cost.student_memory),
        ('teachers', cost.teachers, None),
        ('terms (the rest)', cost.terms, None),
        ('whole', cost.step, cost.memory),
    )
    for name, seconds, memory in parts:
        rows.append([name, f'{seconds:.3g}', f'{seconds / cost.student:.2f} x', gib(memory)])
    return markdown_table(rows)


def iterations(config: Config, loader: DataLoader) -> int:
    """The number of iterations of a training; 0 if it is unknown.

    Example:
        >>> iterations(Config(dict(train_cfg=dict(max_epochs=3))), [None] * 5)
        15
    """
    train = config.get('train_cfg') or {}
    return train.get('max_iters') or train.get('max_epochs', 0) * len(loader)


def _advice(config: Config, cost: Cost, total: int, loader: DataLoader, views: int | None) -> str:
    """What stored teacher outputs save or would save; '' if it is little, or if the config cannot read them."""
    if not cost.teachers or cache_obstacle(config) or reads_mixtures(config):
        return ''
    saved = cost.teachers * (total - (views or VIEWS) * len(loader))
    if views and saved < 0:
        return (
            f'; this shows each image {total / len(loader):.3g} times, so the teacher needs {duration(-saved)} more '
            f'for {views} stored views than for the training: lower --views, or leave it out'
        )
    if not views and saved < WORTH * cost.step * total:
        return ''
    advice = (
        f'the {views} stored views of each image (--views) save {duration(saved)}'
        if views
        else f'{VIEWS} stored views of each image would save {duration(saved)} (--views {VIEWS} of tools/distill.py, '
        'or tools/cache_teacher.py)'
    )
    return f'; the teacher takes {duration(cost.teachers * total)} of this, and {advice}'


def _lower_rates(optimizer: OptimWrapper, config: Config) -> None:
    """Start with the learning rate of the warm-up, without which some networks diverge."""
    schedulers = config.get('param_scheduler') or []
    for scheduler in schedulers if isinstance(schedulers, (list, tuple)) else [schedulers]:
        if scheduler.get('type') == 'LinearLR' and not scheduler.get('begin'):
            for wrapper in getattr(optimizer, 'optim_wrappers', dict(main=optimizer)).values():
                for group in wrapper.optimizer.param_groups:
                    group['lr'] *= scheduler.get('start_factor', 1 / 3)


def _measured(device: torch.device, function: Any) -> tuple[float, int, Any]:
    """Seconds, peak memory in bytes, and result of a function."""
    cuda = device.type == 'cuda'
    if cuda:
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
    begin = time.monotonic()
    result = function()
    if cuda:
        torch.cuda.synchronize(device)
    seconds = time.monotonic() - begin
    return seconds, torch.cuda.max_memory_allocated(device) if cuda else _process_memory(), result


def _process_memory() -> int:
    """Peak memory of this process in bytes; 0 if it is unknown."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return held if sys.platform == 'darwin' else held * 1024
