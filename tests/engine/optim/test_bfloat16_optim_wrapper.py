import torch
from mmengine.optim import OptimWrapper
from torch import nn

from mmseg_kd.engine import BFloat16OptimWrapper


def linear(weight):
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, weight)
    return model


def test_products_are_rounded_to_bfloat16_and_steps_are_not():
    model = linear(1.0)
    wrapper = BFloat16OptimWrapper(torch.optim.SGD(model.parameters(), lr=2**-12))
    with wrapper.optim_context(model):
        out = model(torch.tensor([[1 + 2**-9]]))  # bfloat16 has seven binary places
    assert out.dtype == torch.bfloat16 and out.item() == 1
    wrapper.update_params(out.float().sum())
    assert model.weight.dtype == torch.float32 and model.weight.item() == 1 - 2**-12


def test_accumulation_holds_a_step_back_as_without():
    steps = []
    for cls in (OptimWrapper, BFloat16OptimWrapper):
        model = linear(0.5)
        wrapper = cls(torch.optim.SGD(model.parameters(), lr=0.25), accumulative_counts=2)
        wrapper.initialize_count_status(model, 0, 4)
        for _ in range(3):
            with wrapper.optim_context(model):
                loss = model(torch.tensor([[2.0]])).float().sum()
            wrapper.update_params(loss)
            steps.append(model.weight.item())
    assert steps == 2 * [0.5, 0.0, 0.0]


def test_outside_of_the_context_nothing_is_rounded():
    model = linear(1.0)
    with BFloat16OptimWrapper(torch.optim.SGD(model.parameters(), lr=1.0)).optim_context(model):
        pass
    assert model(torch.tensor([[1 + 2**-9]])).item() == 1 + 2**-9
