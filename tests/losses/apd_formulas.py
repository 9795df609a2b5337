"""The formulas of APD, pixel by pixel and class by class."""

import numpy as np
from reference import softmax


def perspective(x, y):
    """Unit features (pixels that are not void, C), their labels, and prototypes by class."""
    x, y = x.numpy().transpose(0, 2, 3, 1).reshape(-1, x.shape[1]), y.numpy().ravel()
    x = np.array([v / np.linalg.norm(v) for v, k in zip(x, y) if k != 255])
    y = y[y != 255]
    means = [np.mean([v for v, k in zip(x, y) if k == c], axis=0) for c in sorted(set(y))]
    return x, [m / np.linalg.norm(m) for m in means]


def context(student, teacher, y, scale):
    total = []
    (u, a), (v, b) = perspective(student, y), perspective(teacher, y)
    for s, t in zip(u, v):
        q, p = softmax(np.array([scale * s @ c for c in a]), 0), softmax(np.array([scale * t @ c for c in b]), 0)
        total.append(sum(p * np.log(p / q)))
    return np.mean(total) / len(a)


def prototypes(student, teacher, y):
    return np.mean([0.5 * (1 - a @ b) for a, b in zip(perspective(student, y)[1], perspective(teacher, y)[1])])
