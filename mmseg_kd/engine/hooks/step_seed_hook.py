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
    """Seed the generators of Python, NumPy and torch before every step, by the run's seed, the rank and the iteration.

    What a step draws (dropout, boxes to mix) is then the same in a resumed run as in one that was never interrupted,
    from any checkpoint, and no process draws what another draws. Saving the generators' states instead would not do: a
    validation after the checkpoint moves them in the one run and not in the other. What data loaders draw is not
    touched; :class:`mmseg_kd.datasets.SemiSupervisedDataset` sees to that itself, and needs
    ``randomness=dict(seed=...)`` in the config: without it, a warning tells that a resumed run reads its images in
    another order.
    """

    # Before any hook that draws.
    priority = 'VERY_HIGH'

    def before_run(self, runner: Runner) -> None:
        self._seed_of_sampler = runner.seed

    def before_train(self, runner: Runner) -> None:
        # The Runner takes the seed of the checkpoint, but only after the sampler is built.
        if runner.seed != self._seed_of_sampler:
            runner.logger.warning(
                f'the run that is resumed had the seed {runner.seed}, but its images are drawn anew, '
                f'with the seed {self._seed_of_sampler}; set randomness=dict(seed={runner.seed}) to '
                'go on exactly'
            )

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Sequence[dict] | None = None) -> None:
        seeds = np.random.SeedSequence([runner.seed, get_rank(), runner.iter]).generate_state(3)
        random.seed(int(seeds[0]))
        np.random.seed(seeds[1])
        torch.manual_seed(int(seeds[2]))
