from mmseg.registry import MODELS
from torch import nn


@MODELS.register_module()
class ConvAdapter(nn.Conv2d):
    """1x1 convolution without bias from the student's channels to the teacher's: the default adapter.

    Used in training only. Its size is found when the model is built.

    Args:
        in_channels: of the student.
        out_channels: of the teacher.

    Shape:
        (N, in_channels, H, W) to (N, out_channels, H, W).
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, kernel_size=1, bias=False)


@MODELS.register_module()
class BiasedConvAdapter(nn.Conv2d):
    """1x1 convolution with bias, as in the published code of MGD (masked generation) and Af-DCD.

    Args:
        in_channels: of the student.
        out_channels: of the teacher.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, kernel_size=1)


@MODELS.register_module()
class ConvBNAdapter(nn.Sequential):
    """1x1 convolution, BatchNorm and ReLU, for teacher features that come out of a ReLU.

    Args:
        in_channels: of the student.
        out_channels: of the teacher.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(
            nn.Conv2d(in_channels, out_channels, kernel_size=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        )


@MODELS.register_module()
class NoAdapter(nn.Identity):
    """Leave the student's features as they are, whatever their channels.

    Args:
        in_channels: of the student; unused.
        out_channels: of the teacher; unused.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
