"""Hooks that a model needs even if its config does not list them."""

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
    ExactResumeHook,
    ExportStudentHook,
    FittingCheckpointHook,
    ImageConfusionHook,
    MeanTeacherHook,
    NonFiniteLossHook,
    StepSeedHook,
    StopOnSignalHook,
    TeacherCacheHook,
    TeacherPartitionHook,
    TermWeightHook,
    ValidateOnResumeHook,
)
from .views import train_on_views

NEEDED = {
    BaseSegmentor: (
        BatchSizeHook,
        FittingCheckpointHook,
        ImageConfusionHook,
        NonFiniteLossHook,
        StepSeedHook,
        StopOnSignalHook,
        ExactResumeHook,
        ValidateOnResumeHook,
    ),
    Distiller: (TermWeightHook, TeacherCacheHook, TeacherPartitionHook, DistillSummaryHook, ExportStudentHook),
    MeanTeacher: (MeanTeacherHook,),
}


def needed_hooks(model: nn.Module) -> list[type[Hook]]:
    """Classes of the hooks that a model needs.

    Args:
        model: Model of a Runner, also within a wrapper for several processes or test-time augmentation.
    """
    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = model.get_submodule('module')
    return [hook for kind, hooks in NEEDED.items() if isinstance(model, kind) for hook in hooks]


def complete_hooks() -> None:
    """Make every Runner add the hooks that its model needs, unless its config lists them, and train on views.

    A config that sets ``custom_hooks`` replaces the list of its base, which loses the base's hooks. The Runner's
    ``register_hooks`` is the only function with access to model and hooks that MMSegmentation's stock tools also call.
    """
    register = Runner.register_hooks

    @functools.wraps(register)
    def register_hooks(runner: Runner, *args: Any, **kwargs: Any) -> None:
        register(runner, *args, **kwargs)
        for needed in needed_hooks(runner.model):
            if not any(isinstance(hook, needed) for hook in runner.hooks):
                runner.register_hook(needed())
        train_on_views(runner)

    Runner.register_hooks = register_hooks
