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
    changes them in only one of the two runs. Data loaders are not affected;
    :class:`mmseg_kd.datasets.SemiSupervisedDataset` seeds its own items. It needs ``randomness=dict(seed=...)`` in the
    config. Otherwise a warning reports that a resumed run reads its images in another order.
    """

    # Runs before any hook that uses random numbers.
    priority = 'VERY_HIGH'

    def before_run(self, runner: Runner) -> None:
        self._seed_of_sampler = runner.seed

    def before_train(self, runner: Runner) -> None:
        # The Runner restores the checkpoint's seed only after the sampler is built.
        if runner.seed != self._seed_of_sampler:
            runner.logger.warning(
                f'the resumed run had the seed {runner.seed}, but its images are now sampled '
                f'with the seed {self._seed_of_sampler}; set randomness=dict(seed={runner.seed}) to '
                'resume exactly'
            )

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Sequence[dict] | None = None) -> None:
        seeds = np.random.SeedSequence([runner.seed, get_rank(), runner.iter]).generate_state(3)
        random.seed(int(seeds[0]))
        np.random.seed(seeds[1])
        torch.manual_seed(int(seeds[2]))
