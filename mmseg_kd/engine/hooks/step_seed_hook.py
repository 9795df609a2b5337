import random
from collections.abc import Sequence

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS


@HOOKS.register_module()
class StepSeedHook(Hook):
    """Seed the generators of Python, NumPy and torch before every step with the run's seed, the rank and the iteration.

    The random numbers of a step (dropout, boxes to mix) are then the same in a resumed run and in an uninterrupted one,
    and they differ between processes. Saved generator states would not be enough: a validation after the checkpoint
    changes them in only one of the two runs. Training images do not depend on it:
    :class:`mmseg_kd.datasets.ViewDataset` seeds each view. Every training gets this hook.
    """

    # Runs before any hook that uses random numbers.
    priority = 'VERY_HIGH'

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Sequence[dict] | None = None) -> None:
        seeds = np.random.SeedSequence([runner.seed, get_rank(), runner.iter]).generate_state(3)
        random.seed(int(seeds[0]))
        np.random.seed(seeds[1])
        torch.manual_seed(int(seeds[2]))
