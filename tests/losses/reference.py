"""What the tests of losses share: random maps, comparison with float64 formulas, counting of kept memory."""

import numpy as np
import torch

SHAPES = [(1, 2, 7, 9), (2, 19, 5, 8), (1, 150, 3, 5), (3, 4, 1, 1)]


def maps(*shape, channels=None, seed=0, scale=1.0):
    """Student and teacher maps in float64; the teacher has ``channels`` if given."""
    generator = torch.Generator().manual_seed(seed)
    teacher = shape if channels is None else (shape[0], channels, *shape[2:])
    return tuple(scale * torch.randn(s, generator=generator, dtype=torch.float64) for s in (shape, teacher))


def labels(n, h, w, classes=5, void=0.2, seed=0):
    """Labels (n, h, w) with a share of void pixels."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.randint(0, classes, (n, h, w), generator=generator)
    y[torch.rand(n, h, w, generator=generator) < void] = 255
    return y


def softmax(z, axis):
    e = np.exp(z - z.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def assert_value(loss, expected, student, teacher, *labels):
    """The loss must be ``expected`` in float64, and to 1e-5 in float32."""
    value = loss(student, teacher, *labels)
    assert value.dim() == 0
    np.testing.assert_allclose(value.item(), expected, rtol=1e-9, atol=1e-12)
    single = loss(_single(student), _single(teacher), *labels)
    assert single.dtype == torch.float32
    np.testing.assert_allclose(single.item(), expected, rtol=1e-5, atol=1e-6)


def assert_gradient(loss, student, teacher, *labels):
    """The gradient must be that of the value (finite differences, float64)."""
    assert torch.autograd.gradcheck(lambda s: loss(s, teacher, *labels), student.clone().requires_grad_())


def gradient(loss, student, teacher, *labels):
    student = student.clone().requires_grad_()
    return torch.autograd.grad(loss(student, teacher, *labels), student)[0]


def rotation(channels, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.linalg.qr(torch.randn(channels, channels, generator=generator, dtype=torch.float64))[0]


def rotated(x, seed=0):
    """Turn every pixel's feature vector by one orthogonal matrix."""
    return torch.einsum('dc,nchw->ndhw', rotation(x.shape[1], seed), x)


def kept_floats(loss, student, teacher, *labels):
    """Count the numbers that autograd keeps for the backward pass, besides what was passed in."""
    student = student.clone().requires_grad_()
    known = {x.untyped_storage().data_ptr() for x in (student, teacher, *labels)}
    kept = {}

    def pack(x):
        if x.untyped_storage().data_ptr() not in known:
            kept[x.untyped_storage().data_ptr()] = x  # held, so that no address is used twice
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        value = loss(student, teacher, *labels)
    assert value.requires_grad
    return sum(x.untyped_storage().nbytes() // x.element_size() for x in kept.values())


def _single(x):
    return x.float() if isinstance(x, torch.Tensor) else tuple(map(_single, x))
