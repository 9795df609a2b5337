from mmseg.registry import MODELS
from torch import nn


@MODELS.register_module()
class MLPAdapter(nn.Sequential):
    """Two 1x1 convolutions with a ReLU between them: a small network of its own for every pixel.

    Args:
        in_channels: of the student.
        out_channels: of the teacher, and of the hidden layer.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(
            nn.Conv2d(in_channels, out_channels, kernel_size=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(out_channels, out_channels, kernel_size=1),
        )
