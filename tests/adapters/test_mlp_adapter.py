import torch
from mmseg.registry import MODELS


def test_each_pixel_passes_two_layers_with_a_relu_between_them():
    adapter = MODELS.build(dict(type='MLPAdapter', in_channels=3, out_channels=5))
    x = torch.randn(2, 3, 4, 6)
    (w, b), (v, c) = ((layer.weight[:, :, 0, 0], layer.bias) for layer in (adapter[0], adapter[2]))
    expected = (x.permute(0, 2, 3, 1) @ w.T + b).relu() @ v.T + c
    torch.testing.assert_close(adapter(x), expected.permute(0, 3, 1, 2))
