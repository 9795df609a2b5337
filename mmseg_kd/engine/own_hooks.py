"""Hooks that a model needs, whether its config lists them or not."""

import functools
from typing import Any

from mmengine.hooks import Hook
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.runner import Runner
from mmseg.models.segmentors.base import BaseSegmentor
from torch import nn

from ..distillers import Distiller, MeanTeacher
from .hooks import (
    BatchSizeHook,
    DistillSummaryHook,
    ExportStudentHook,
    FittingCheckpointHook,
    MeanTeacherHook,
    NonFiniteLossHook,
    TeacherPartitionHook,
    TermWeightHook,
)

NEEDED = {
    BaseSegmentor: (BatchSizeHook, FittingCheckpointHook),
    Distiller: (TermWeightHook, NonFiniteLossHook, TeacherPartitionHook, DistillSummaryHook, ExportStudentHook),
    MeanTeacher: (MeanTeacherHook,),
}


def needed_hooks(model: nn.Module) -> list[type[Hook]]:
    """Classes of the hooks that a model needs.

    Args:
        model: a model as a Runner holds it: bare, or in a wrapper for several processes or test-time augmentation.
    """
    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = model.get_submodule('module')
    return [hook for kind, hooks in NEEDED.items() if isinstance(model, kind) for hook in hooks]


def complete_hooks() -> None:
    """Let every Runner add the hooks that its model needs, unless its config lists them.

    ``custom_hooks`` is a list, which a config replaces where it inherits one: hooks named there get lost. The Runner
    has no other place that the stock tools of MMSegmentation pass with both the model and the hooks in hand.
    """
    register = Runner.register_hooks

    @functools.wraps(register)
    def register_hooks(runner: Runner, *args: Any, **kwargs: Any) -> None:
        register(runner, *args, **kwargs)
        for needed in needed_hooks(runner.model):
            if not any(isinstance(hook, needed) for hook in runner.hooks):
                runner.register_hook(needed())

    Runner.register_hooks = register_hooks
