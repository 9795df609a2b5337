"""The time of training steps by their parts."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.optim import OptimWrapper
from torch import nn

from ..distillers import Distiller, LabelingDistiller
from ..distillers.labels import fill_unknown

TEACHER, STUDENT, BACKWARD, OPTIMIZER = 'teacher', 'student', 'backward', 'optimizer'


class StepClock:
    """Add up the seconds of calls by name.

    On a GPU, calls are timed by events, so that the CPU never waits for the GPU within a step.

    Args:
        device: Device of the computation.
        clock: Clock on a CPU. Processor time counts the time of all threads, and not that of other programs.

    Example:
        >>> import torch
        >>> from mmseg_kd.profiling.step_clock import StepClock
        >>> clock = StepClock(torch.device('cpu'), clock=iter([1.0, 3.0, 10.0, 11.5]).__next__)
        >>> clock.run('student', abs, -2), clock.run('student', abs, -3)
        (2, 3)
        >>> clock.take()
        {'student': 3.5}
    """

    def __init__(self, device: torch.device, clock: Callable[[], float] = time.process_time) -> None:
        self._device, self._clock = device, clock
        self._marks: list[tuple[str, Any, Any]] = []

    def run(self, name: str, function: Callable, *args: Any, **kwargs: Any) -> Any:
        """Call a function; its time counts for ``name``."""
        begin = self._mark()
        result = function(*args, **kwargs)
        self._marks.append((name, begin, self._mark()))
        return result

    def take(self) -> dict[str, float]:
        """Seconds by name since the last ``take``, after the GPU has finished."""
        if self._device.type == 'cuda':
            torch.cuda.synchronize(self._device)
        seconds: dict[str, float] = {}
        for name, begin, end in self._marks:
            taken = end - begin if isinstance(begin, float) else begin.elapsed_time(end) / 1000
            seconds[name] = seconds.get(name, 0.0) + taken
        self._marks.clear()
        return seconds

    def _mark(self) -> Any:
        if self._device.type != 'cuda':
            return self._clock()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event


@contextmanager
def timed_parts(clock: StepClock, model: nn.Module, optimizer: OptimWrapper) -> Iterator[None]:
    """Let a clock time the teachers, the student's forward pass with its own losses, each term by its name, the
    backward pass, and the optimizers of ``model.train_step``.

    Args:
        clock: Clock that receives the seconds.
        model: Segmentor or distiller.
        optimizer: Optimizer wrapper of the model.
    """
    wrappers = list(getattr(optimizer, 'optim_wrappers', {'': optimizer}).values())
    calls: list[tuple[Any, str, str]] = []
    if not isinstance(model, Distiller):
        calls.append((model, 'forward', STUDENT))
    else:
        calls.append((model.student, 'forward', STUDENT))
        calls += [(teacher, 'read', TEACHER) for teacher in model.teachers.values()]
        calls += [(term, 'forward', name) for name, term in model.all_terms.items()]
    calls += [(wrappers[0], 'backward', BACKWARD)] + [(wrapper, 'step', OPTIMIZER) for wrapper in wrappers]

    def timed(name: str, function: Callable) -> Callable:
        return lambda *args, **kwargs: clock.run(name, function, *args, **kwargs)

    for owner, method, name in calls:
        owner.__dict__[method] = timed(name, getattr(owner, method))
    try:
        yield
    finally:
        for owner, method, _ in calls:
            del owner.__dict__[method]


def student_step(model: Distiller, data: dict, optimizer: OptimWrapper) -> None:
    """A step of the student without teachers and terms.

    Pixels that a teacher would label get any class, which takes as long. Some losses fail if all pixels are ignored.

    Args:
        model: Distiller.
        data: Preprocessed labeled images, as ``model.data_preprocessor`` returns them.
        optimizer: Optimizer wrapper of the model.
    """
    samples = data['data_samples']
    if isinstance(model, LabelingDistiller):
        samples = [fill_unknown(sample, 0) for sample in samples]
    with optimizer.optim_context(model):
        loss, _ = model.parse_losses(model.student(data['inputs'], samples, mode='loss'))
    optimizer.update_params(loss)
