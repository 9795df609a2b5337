"""Two ranks in one process; with real ones, tests/losses/test_contract.py compares every loss, and
test_semi_supervised_distributed.py whole distillers."""

import pytest
import torch
from torch import tensor

from mmseg_kd.distillers import ranks
from mmseg_kd.distillers.ranks import TermDenominators


def joined(monkeypatch, own, others, losses):
    """The losses of a rank with denominators ``own``, beside a rank with ``others``; and the number of reductions."""
    reductions = []

    def all_reduce(numbers):
        numbers += torch.tensor(others)
        reductions.append(len(numbers))

    monkeypatch.setattr(ranks, 'get_world_size', lambda: 2)
    monkeypatch.setattr(ranks, 'all_reduce', all_reduce)
    denominators = TermDenominators()
    for names, number in own:
        denominators.add(names, lambda number=number: tensor(number))
    return denominators.join({name: tensor(value) for name, value in losses.items()}), reductions


def test_each_rank_weighs_by_its_share_in_one_reduction(monkeypatch):
    own = [(['loss_a', 'loss_a_critic'], 30.0), (['loss_b'], 2.0)]
    losses = dict(loss_ce=0.5, loss_a=1.0, loss_a_critic=-4.0, loss_b=3.0)
    found, reductions = joined(monkeypatch, own, [10.0, 2.0], losses)
    assert {name: value.item() for name, value in found.items()} == dict(
        loss_ce=0.5, loss_a=1.5, loss_a_critic=-6.0, loss_b=3.0
    )
    assert reductions == [2] and list(found) == list(losses)


@pytest.mark.parametrize(
    'own, others, expected', [(0.0, 8.0, 0.0), (8.0, 0.0, 14.0), (0.0, 0.0, 0.0), (0.25, 0.25, 7.0)]
)
def test_a_rank_without_pixels_adds_nothing_and_the_other_counts_twice(monkeypatch, own, others, expected):
    found, _ = joined(monkeypatch, [(['loss_a'], own)], [others], dict(loss_a=7.0))
    assert found['loss_a'].item() == expected


def test_one_process_counts_nothing():
    denominators = TermDenominators()
    denominators.add(['loss_a'], lambda: pytest.fail('counted'))
    losses = dict(loss_a=tensor(1.0))
    assert denominators.join(losses) is losses


def test_without_terms_there_is_no_reduction(monkeypatch):
    found, reductions = joined(monkeypatch, [], [], dict(loss_ce=1.0))
    assert found == dict(loss_ce=1.0) and not reductions
