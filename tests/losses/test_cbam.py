import numpy as np
import pytest
import torch
from reference import maps

from mmseg_kd.losses.cbam import CBAM


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def cbam(x, module):
    """One map (C, H, W) through CBAM in eval mode, step by step."""
    first, _, last = module.channels
    convolution, norm = module.places
    (a, b), (c, d) = ((layer.weight.detach().numpy(), layer.bias.detach().numpy()) for layer in (first, last))

    def mlp(v):
        return c @ np.maximum(a @ v + b, 0) + d

    x = x * sigmoid(mlp(x.mean((1, 2))) + mlp(x.max((1, 2))))[:, None, None]
    padded = np.pad(np.stack([x.max(0), x.mean(0)]), ((0, 0), (3, 3), (3, 3)))
    weight = convolution.weight.detach().numpy()[0]
    score = np.array(
        [[(padded[:, i : i + 7, j : j + 7] * weight).sum() for j in range(x.shape[2])] for i in range(x.shape[1])]
    )
    tensors = norm.running_mean, norm.running_var, norm.weight, norm.bias
    mean, variance, gain, bias = (t.detach().numpy() for t in tensors)
    return x * sigmoid((score - mean) / np.sqrt(variance + norm.eps) * gain + bias)


@pytest.mark.parametrize('shape', [(2, 33, 5, 8), (1, 4, 1, 1), (2, 16, 9, 3)])
def test_equals_the_formula(shape):
    module = CBAM(shape[1]).double().eval()
    with torch.no_grad():
        for tensor in (*module.places[1].parameters(), module.places[1].running_mean, module.places[1].running_var):
            tensor.uniform_(0.3, 2.0)
    x, _ = maps(*shape)
    expected = [cbam(image, module) for image in x.numpy()]
    np.testing.assert_allclose(module(x).detach().numpy(), expected, rtol=1e-9, atol=1e-12)


def test_the_hidden_layer_is_a_sixteenth():
    assert CBAM(64).channels[0].out_features == 4 and CBAM(8).channels[0].out_features == 1
