import random

import numpy as np
import pytest
import torch

from mmseg_kd.datasets.seeding import permutation, seeded


def draw():
    return random.random(), np.random.rand(), np.random.randn(), torch.rand(()).item()


def test_equal_words_give_equal_numbers_and_the_generators_outside_go_on_undisturbed():
    torch.manual_seed(0)
    np.random.seed(0)
    random.seed(0)
    np.random.randn()  # NumPy keeps the second number of a pair
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    expected = draw()
    random.setstate(states[0])
    np.random.set_state(states[1])
    torch.set_rng_state(states[2])
    drawn = []
    for words in ((0, 1, 2), (0, 1, 2), (0, 2, 1), (1, 1, 2), (0, 1)):
        with seeded(*words):
            drawn.append(draw())
    assert drawn[0] == drawn[1] and len(set(drawn)) == 4
    assert draw() == expected


def test_the_generators_are_restored_after_an_error():
    state = torch.get_rng_state()
    with pytest.raises(OSError), seeded(0):
        torch.rand(3)
        raise OSError
    assert torch.equal(torch.get_rng_state(), state)


def test_each_pass_has_an_order_of_its_own():
    orders = {tuple(permutation(seed, 0, epoch, 20)) for seed in range(2) for epoch in range(3)}
    assert len(orders) == 6 and all(sorted(order) == list(range(20)) for order in orders)
