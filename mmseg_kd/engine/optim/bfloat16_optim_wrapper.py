from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.optim import OptimWrapper
from mmseg.registry import OPTIM_WRAPPERS
from torch import nn


@OPTIM_WRAPPERS.register_module()
class BFloat16OptimWrapper(OptimWrapper):
    """Automatic mixed precision in bfloat16, on CPUs too.

    Its range is that of float32, so that nothing needs scaling, and MMEngine's ``AmpOptimWrapper``, which scales, asks
    for a GPU. Parameters, gradients and the optimizer's state stay in float32; so do the distillation losses.

    Args:
        optimizer: and all else as of MMEngine's ``OptimWrapper``.

    Example:
        >>> optim_wrapper = dict(type='BFloat16OptimWrapper')
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Autocast, within what the accumulation of gradients asks for."""
        device = next(model.parameters()).device.type
        with super().optim_context(model), torch.autocast(device, dtype=torch.bfloat16):
            yield
