"""Distillation losses. Every class of a loss in a module ``*_loss`` of this package is exported by itself."""

import inspect
import pkgutil
from importlib import import_module

from .base import AdversarialLoss, DistillLoss
from .critic import HolisticCritic


def __getattr__(name: str) -> type[DistillLoss]:
    """What is not there; a checker of types learns from it that losses are."""
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')


def _losses() -> dict[str, type[DistillLoss]]:
    modules = [import_module(f'{__name__}.{info.name}') for info in pkgutil.iter_modules(__path__)]
    return {
        name: value
        for module in modules
        if module.__name__.endswith('_loss')
        for name, value in vars(module).items()
        # Python 3.10 calls tuple[Tensor, ...] a class, which issubclass() refuses: the module is asked first.
        if inspect.isclass(value) and value.__module__ == module.__name__ and issubclass(value, DistillLoss)
    }


globals().update(_losses())
_BASES = (AdversarialLoss, DistillLoss, HolisticCritic)
__all__ = sorted([*(base.__name__ for base in _BASES), *_losses()], key=str.lower)
