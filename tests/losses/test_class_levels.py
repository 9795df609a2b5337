import numpy as np
import pytest
import torch
from reference import kept_floats

from mmseg_kd.losses.class_levels import class_levels


def example(pixels=7, classes=4, tables=3):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(pixels, classes, generator=generator, dtype=torch.float64)
    table = torch.randn(tables, classes, classes, generator=generator, dtype=torch.float64)
    return logits, table, torch.randint(0, tables, (pixels,), generator=generator)


@pytest.mark.parametrize('rows', [1, 3, 100])
def test_equals_the_formula(rows):
    logits, tables, labels = example()
    expected = [
        [np.log(sum(np.exp(z[j] + tables[y, c, j].item()) for j in range(4))) for c in range(4)]
        for z, y in zip(logits.numpy(), labels)
    ]
    np.testing.assert_allclose(class_levels(logits, tables, labels, rows), expected, rtol=1e-12)


@pytest.mark.parametrize('rows', [2, 100])
def test_gradient_to_logits_and_tables(rows):
    logits, tables, labels = example()
    function = lambda z, t: class_levels(z, t, labels, rows)  # noqa: E731
    assert torch.autograd.gradcheck(function, (logits.requires_grad_(), tables.requires_grad_()))


def test_far_levels_neither_overflow_nor_vanish():
    logits, tables = torch.tensor([[0.0, -200.0]]), torch.tensor([[[0.0, 200.0], [900.0, 0.0]]])
    levels = class_levels(logits, tables, torch.tensor([0]), 1)
    torch.testing.assert_close(levels, torch.tensor([[np.log(2.0), 900.0]], dtype=torch.float32))


def test_no_table_of_a_pixel_is_kept():
    logits, tables, labels = example(pixels=300, classes=20)
    assert kept_floats(lambda z, t: class_levels(z, t, labels, 10), logits, tables) < 3 * 300 * 20
