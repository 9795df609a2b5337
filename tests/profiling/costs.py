"""Small networks to measure, and costs that are known."""

import torch
from mmseg.registry import MODELS

from mmseg_kd.profiling.energy import Energy
from mmseg_kd.profiling.network_cost import Network, NetworkCost
from mmseg_kd.testing.toys import toy_segmentor

CPU = torch.device('cpu')
SIZE = (32, 48)


def network(name='student', channels=4):
    return Network(name, [MODELS.build(toy_segmentor(channels))], [1], 'random')


def result(name, joules, parameters=1_000_000):
    """Costs of a network that needs so much energy for one image."""
    energy = Energy(10.0, joules * 100 / 3.6e6, joules * 100 / 3.6e7, 'a guess')
    return NetworkCost(
        name,
        'random',
        parameters,
        {SIZE: 2_000_000_000},
        {(1, SIZE): 0.05, (4, SIZE): 0.1},
        {(1, SIZE): 30_000_000, (4, SIZE): 40_000_000},
        100,
        energy,
    )
