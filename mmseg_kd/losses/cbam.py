import torch
from torch import Tensor, nn


class CBAM(nn.Module):
    r"""Scale the channels of a map, and then its places, by gates computed from the map (convolutional block
    attention).

    .. math:: y = x \cdot \sigma(m(\mathrm{mean}_p x) + m(\mathrm{max}_p x)), \qquad
        z = y \cdot \sigma(\mathrm{BN}(k * [\mathrm{max}_c y, \mathrm{mean}_c y]))

    with m two linear layers with a ReLU between, and k a 7 x 7 convolution.

    Args:
        channels: The number of channels of the map.
        reduction: The divisor of the channels that gives the units of the hidden layer of m, at least one.

    Shape:
        (N, channels, H, W), equal in and out.

    Paper: Woo et al., "CBAM: Convolutional Block Attention Module" (ECCV 2018, arXiv 1807.06521).
    """

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        hidden = max(1, channels // reduction)
        self.channels = nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(inplace=True), nn.Linear(hidden, channels))
        self.places = nn.Sequential(nn.Conv2d(2, 1, 7, padding=3, bias=False), nn.BatchNorm2d(1, momentum=0.01))

    def forward(self, x: Tensor) -> Tensor:
        gate = torch.sigmoid(self.channels(x.mean((2, 3))) + self.channels(x.amax((2, 3))))
        x = x * gate[:, :, None, None]
        return x * torch.sigmoid(self.places(torch.cat([x.amax(1, keepdim=True), x.mean(1, keepdim=True)], dim=1)))
