"""Checks of compiled trainings."""

from torch import nn
from torch.nn.modules.utils import _pair

from ...distillers.inference import image_size
from .problems import Problems

LARGEST_STRIDE = 32  # of the maps in the usual backbones


def check_compiled_pools(network: nn.Module) -> Problems:
    """Check a network whose training is compiled for average pools that PyTorch compiles wrongly.

    Compiled, ``AvgPool2d(ceil_mode=True)`` has a wrong gradient at the border of maps that its windows do not divide.
    ResNetV1d has such pools. ``docs/upstream.md`` has a report.

    Args:
        network: The network that is trained.

    Returns:
        Problems: A warning, if the network has such pools and the sides of its images are no multiples of 32.

    Example:
        >>> pool = nn.AvgPool2d(2, ceil_mode=True)
        >>> print(check_compiled_pools(nn.Sequential(pool)).warnings[0][:70])
        compile=True: 1 average pool with ceil_mode (0) has a wrong gradient a
    """
    problems = Problems()
    pools = [
        name
        for name, module in network.named_modules()
        if isinstance(module, nn.AvgPool2d) and module.ceil_mode and max(_pair(module.kernel_size)) > 1
    ]
    size = image_size(getattr(network, 'data_preprocessor', None), default=1)
    if pools and any(side % LARGEST_STRIDE for side in size):
        many = len(pools) > 1
        problems.warn(
            f'compile=True: {len(pools)} average pool{"s" * many} with ceil_mode ({pools[0]}{", ..." * many}) '
            f'{"have" if many else "has"} a wrong gradient at the border of maps with odd sides, because of a fault of '
            f"PyTorch's compiler; make the sides of the images multiples of {LARGEST_STRIDE}, or remove compile"
        )
    return problems
