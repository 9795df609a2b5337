from mmseg.registry import MODELS
from torch import nn


@MODELS.register_module()
class ConvAdapter(nn.Conv2d):
    """1x1 convolution without bias from the student's channels to the teacher's: the default adapter.

    It is used in training only. The numbers of channels are found when the model is built.

    Args:
        in_channels: The number of channels of the student.
        out_channels: The number of channels of the teacher.

    Shape:
        (N, in_channels, H, W) to (N, out_channels, H, W).

    Example:
        >>> import torch
        >>> from mmseg_kd.adapters import ConvAdapter
        >>> ConvAdapter(in_channels=2, out_channels=8)(torch.zeros(1, 2, 4, 4)).shape
        torch.Size([1, 8, 4, 4])
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, kernel_size=1, bias=False)


@MODELS.register_module()
class BiasedConvAdapter(nn.Conv2d):
    """1x1 convolution with bias, as in the published code of MGD (masked generation) and Af-DCD.

    Args:
        in_channels: The number of channels of the student.
        out_channels: The number of channels of the teacher.

    Example:
        >>> from mmseg_kd.adapters import BiasedConvAdapter
        >>> BiasedConvAdapter(in_channels=2, out_channels=8).bias.shape
        torch.Size([8])
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, kernel_size=1)


@MODELS.register_module()
class ConvBNAdapter(nn.Sequential):
    """1x1 convolution, BatchNorm and ReLU, for teacher features that come out of a ReLU.

    Args:
        in_channels: The number of channels of the student.
        out_channels: The number of channels of the teacher.

    Example:
        >>> import torch
        >>> from mmseg_kd.adapters import ConvBNAdapter
        >>> features = ConvBNAdapter(in_channels=2, out_channels=8)(torch.rand(1, 2, 4, 4))
        >>> features.shape, features.min().item() >= 0
        (torch.Size([1, 8, 4, 4]), True)
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(
            nn.Conv2d(in_channels, out_channels, kernel_size=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        )


@MODELS.register_module()
class NoAdapter(nn.Identity):
    """Leave the student's features unchanged, whatever their channels.

    Args:
        in_channels: The number of channels of the student; unused.
        out_channels: The number of channels of the teacher; unused.

    Example:
        >>> import torch
        >>> from mmseg_kd.adapters import NoAdapter
        >>> NoAdapter(in_channels=2, out_channels=8)(torch.zeros(1, 2, 4, 4)).shape
        torch.Size([1, 2, 4, 4])
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
