"""Networks without chance, what is read of them, and formulas in NumPy."""

import numpy as np
import torch
from mmengine.optim import OptimWrapper
from mmseg.registry import MODELS

from mmseg_kd.testing.toys import toy_branch_batch, toy_segmentor


@MODELS.register_module()
class Halves:
    """Mixes as CutMix does, but always the left half of the first image with the right half of the second."""

    def sample(self, num, size, device='cpu'):
        return (torch.arange(size[1], device=device) >= size[1] // 2).expand(num, 1, *size)

    @staticmethod
    def mix(first, second, mask):
        return torch.where(mask if first.dim() == 4 else mask[:, 0], second, first)


def segmentor(base_channels=4, **settings):
    """A toy without dropout, whose every step can be computed again."""
    model = toy_segmentor(base_channels, **settings)
    for head in (model.decode_head, model.get('auxiliary_head')):
        if head is not None:
            head.dropout_ratio = 0
    return model


def preprocessed(model, **settings):
    """Inputs and data samples as ``model.loss`` takes them."""
    data = model.data_preprocessor(toy_branch_batch(**settings), True)
    return data['inputs'], data['data_samples']


def optimizer(model, lr=0.05):
    return OptimWrapper(torch.optim.SGD(model.parameters(), lr))


def features_and_logits(network, images):
    """What the classifier reads, and what it says, by MMSegmentation's own modules."""
    features = network.extract_feat(images)
    bottleneck = network.decode_head._forward_feature(features)
    return bottleneck, network.decode_head.cls_seg(bottleneck)


def halves(first, second):
    """Arrays (..., W): the left half of the first, the right half of the second."""
    middle = first.shape[-1] // 2
    return np.concatenate([first[..., :middle], second[..., middle:]], axis=-1)


def array(x):
    return x.detach().double().numpy()


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def cross_entropy(logits, classes, counted):
    """Mean over the pixels that count."""
    chosen = np.take_along_axis(softmax(logits), classes[:, None], axis=1)[:, 0]
    return -np.log(chosen[counted]).mean()


def regions(features, grid):
    """Cosines of all pairs of cells, for a map whose sides the grid divides."""
    n, c, h, w = features.shape
    cells = features.reshape(n, c, grid, h // grid, grid, w // grid).mean((3, 5)).reshape(n, c, -1)
    cells /= np.linalg.norm(cells, axis=1, keepdims=True)
    return np.einsum('nci,ncj->nij', cells, cells)


def count_runs(network):
    """A list that grows by the images of every forward pass of the backbone."""
    seen = []
    forward = network.backbone.forward
    network.backbone.forward = lambda x: (seen.append(x.detach().clone()), forward(x))[1]
    return seen


def gradients(model):
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
