"""``torch.compile(fullgraph=True)`` takes every loss whole, and changes neither its value nor its gradient."""

import pytest
import torch
from loss_examples import LOSSES, build, evaluate, example

from mmseg_kd.losses import CosineFeatureLoss, DISTLoss, FAKDLoss, IDDPositionLoss, IFVDLoss, PairWiseKDLoss

# One loss of each gradient that is written by hand, and one with a frozen network.
QUICK = {CosineFeatureLoss, DISTLoss, FAKDLoss, IDDPositionLoss, IFVDLoss, PairWiseKDLoss}


def compare(cls, **options):
    torch.compiler.reset()
    student, *others = example(cls, 2, 4, 7, 9)  # no multiple of a kernel
    results = []
    for compiled in (False, True):
        loss, leaf = build(cls, student, *others), student.clone().requires_grad_()
        value = evaluate(torch.compile(loss, fullgraph=True, **options) if compiled else loss, leaf, *others)
        results.append((value, torch.autograd.grad(value, leaf)[0]))
    torch.testing.assert_close(*results, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    'cls', [pytest.param(c, id=c.__name__, marks=[] if c in QUICK else pytest.mark.slow) for c in LOSSES]
)
def test_its_graph_has_no_break(cls):
    compare(cls, backend='eager')


@pytest.mark.slow
@pytest.mark.parametrize('cls', LOSSES, ids=lambda cls: cls.__name__)
def test_compiled_and_eager_agree(cls):
    compare(cls)
