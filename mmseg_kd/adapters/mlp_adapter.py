from mmseg.registry import MODELS
from torch import nn


@MODELS.register_module()
class MLPAdapter(nn.Sequential):
    """Two 1x1 convolutions with a ReLU between them: the same small network for every pixel.

    Args:
        in_channels: The number of channels of the student.
        out_channels: The number of channels of the teacher, and of the hidden layer.

    Example:
        >>> import torch
        >>> from mmseg_kd.adapters import MLPAdapter
        >>> MLPAdapter(in_channels=2, out_channels=8)(torch.zeros(1, 2, 4, 4)).shape
        torch.Size([1, 8, 4, 4])
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(
            nn.Conv2d(in_channels, out_channels, kernel_size=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(out_channels, out_channels, kernel_size=1),
        )
