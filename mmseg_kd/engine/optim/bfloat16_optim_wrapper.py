from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.optim import OptimWrapper
from mmseg.registry import OPTIM_WRAPPERS
from torch import nn


@OPTIM_WRAPPERS.register_module()
class BFloat16OptimWrapper(OptimWrapper):
    """Automatic mixed precision in bfloat16, on CPUs too.

    Bfloat16 has the range of float32, so losses need no scaling; MMEngine's ``AmpOptimWrapper``, which scales them,
    needs a GPU. Parameters, gradients, the optimizer's state and the distillation losses stay in float32. The arguments
    are those of MMEngine's ``OptimWrapper``.

    Example:
        >>> optim_wrapper = dict(type='BFloat16OptimWrapper')
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Autocast, combined with the context of gradient accumulation."""
        device = next(model.parameters()).device.type
        with super().optim_context(model), torch.autocast(device, dtype=torch.bfloat16):
            yield
