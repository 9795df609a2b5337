from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmseg.registry import OPTIM_WRAPPERS
from torch import Tensor, nn

# torch 2.3 replaced the CUDA class by one for all devices.
GradScaler = getattr(torch.amp, 'GradScaler', torch.cuda.amp.GradScaler)


@OPTIM_WRAPPERS.register_module()
class JointOptimWrapper(OptimWrapperDict):
    """Several optimizers that step together after one backward pass.

    It is meant for losses whose gradients reach disjoint parameters, such as a student's and an auxiliary module's. The
    sum of the losses needs one forward and one backward pass and works under DDP like any other loss. Each optimizer
    keeps its own rule and schedule.

    Args:
        main: Optimizer wrapper that controls precision, loss scaling and accumulation, and clips its own parameters.
        others: Plain ``OptimWrapper`` objects by name.
    """

    def __init__(self, main: OptimWrapper, **others: OptimWrapper) -> None:
        super().__init__(main=main, **others)
        self._model: nn.Module | None = None

    @property
    def _main(self) -> OptimWrapper:
        return self.optim_wrappers['main']

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Precision and gradient synchronization of the main optimizer."""
        self._model = model.get_submodule('module') if is_model_wrapper(model) else model
        with self._main.optim_context(model):
            yield

    def initialize_count_status(self, model: nn.Module, init_counts: int, max_counts: int) -> None:
        """Set the progress of training in the main optimizer, for accumulation."""
        self._main.initialize_count_status(model, init_counts, max_counts)

    def update_params(self, loss: Tensor, step_kwargs: dict | None = None, zero_kwargs: dict | None = None) -> None:
        """Run one backward pass and, when accumulation is complete, one step of each optimizer."""
        main, others = self._main, [wrapper for name, wrapper in self.items() if name != 'main']
        main.backward(main.scale_loss(loss))
        if not main.should_update():
            return
        # DDP needs zero gradients for inactive parameters. With momentum, these would still move the parameters.
        for parameter in getattr(self._model, 'resting_parameters', list)():
            parameter.grad = None
        scaler = getattr(main, 'loss_scaler', None)
        for other in others:
            if all(p.grad is None for group in other.optimizer.param_groups for p in group['params']):
                continue
            # The main wrapper's step() changes the loss scale, so the other optimizers must step before it.
            if isinstance(scaler, GradScaler):
                scaler.step(other.optimizer)
            else:
                other.step()
        main.step(**(step_kwargs or {}))
        self.zero_grad(**(zero_kwargs or {}))
