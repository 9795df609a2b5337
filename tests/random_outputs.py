"""Outputs of a network with random logits, and their statistics."""

import torch

from mmseg_kd.evaluation.output_statistics import OutputStatistics

TEMPERATURES = [1, 2, 4, 8, 16]


def images(num=3, classes=5, size=(12, 17), scale=4.0, seed=0):
    """Logits and labels, right more often than by chance, a stripe of void."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(num):
        labels = torch.randint(0, classes, size, generator=generator)
        logits = scale * torch.randn(classes, *size, generator=generator)
        logits.scatter_add_(0, labels[None], torch.full((1, *size), 3.0))
        labels[:2] = 255
        yield logits, labels


def statistics_of(pairs, temperatures=TEMPERATURES, classes=5):
    statistics = OutputStatistics(classes, temperatures)
    for logits, labels in pairs:
        statistics.update(logits, labels)
    return statistics
