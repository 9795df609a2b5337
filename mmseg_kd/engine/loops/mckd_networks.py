"""Teacher and students of an MCKD run."""

import copy
import gc
from collections.abc import Sequence
from pathlib import Path

from mmengine.config import Config
from mmengine.dist import barrier
from mmengine.runner import Runner

from ...io.runs import pointed_checkpoint, read_run, saved_checkpoints
from ...labeling import Labeler
from .mckd_checks import label_data_sets


class MCKDNetworks:
    """Teacher and students of a run: they are built, trained, and loaded from their folders.

    Args:
        runner: runner of the whole run, whose config serves all trainings.
        teacher: ``dict(config=..., checkpoint=...)`` of a segmentor.
        train: ``train_cfg`` of each training.
        tta: whether to label with test-time augmentation.
    """

    def __init__(self, runner: Runner, teacher: dict, train: dict, tta: bool) -> None:
        self._runner, self._teacher, self._train_cfg, self._tta = runner, teacher, train, tta

    @property
    def seed(self) -> int:
        """Seed of the run."""
        return (self._runner.cfg.get('randomness') or {}).get('seed') or 0

    def labeler(self, config: str | Config, checkpoint: str | None, class_map: dict | None = None) -> Labeler:
        """A network that labels images.

        Args:
            config: config of a segmentor or distiller.
            checkpoint: path of the weights.
            class_map: the network's classes for each class of the students, if they differ.
        """
        return Labeler(config, checkpoint, self._tta, class_map)

    def teacher(self) -> Labeler:
        """The teacher."""
        return self.labeler(self._teacher['config'], self._teacher.get('checkpoint'), self._teacher.get('class_map'))

    def student(self, name: str) -> Labeler:
        """The student of a training.

        Args:
            name: name of the training.

        Raises:
            ValueError: if the training left no checkpoint.
        """
        return self.student_of(self._checkpoint(name))

    def student_of(self, checkpoint: Path) -> Labeler:
        """The student with the weights of a checkpoint."""
        return self.labeler(copy.deepcopy(self._runner.cfg), str(checkpoint))

    def training(self, name: str, number: int, folder: Path, labels: Sequence[str], ids: Path | None) -> Config:
        """The config of an ordinary training.

        Args:
            name: name of the training.
            number: place in the order of trainings; the seed is that of the run plus this number.
            folder: work directory of the training.
            labels: folders of the labels.
            ids: list file of the images; None for all images.
        """
        config = copy.deepcopy(self._runner.cfg)
        config.train_cfg = copy.deepcopy(self._train_cfg)
        for dataset in label_data_sets(config.train_dataloader.dataset):
            dataset.update(labels=list(labels))
            if ids is not None:
                dataset.update(ids=str(ids))
        # MMEngine keeps loggers and visualizers by name, and the trainings share a process.
        unique = f'{self._runner.experiment_name}_{name.replace("/", "_")}'
        config.update(
            work_dir=str(folder),
            experiment_name=unique,
            randomness=dict(config.get('randomness') or {}, seed=self.seed + number),
        )
        if config.get('visualizer'):
            config.visualizer.name = unique
        return config

    def train(self, config: Config, parent: str | None = None) -> dict[str, float]:
        """Run a training, or resume it from its last checkpoint.

        Args:
            config: config of :meth:`training`.
            parent: name of the training whose student provides the initial weights.

        Returns:
            dict: the number of iterations, and the metrics of the last validation.
        """
        folder = Path(config.work_dir)
        begun = bool(saved_checkpoints(folder))
        config.update(resume=begun, load_from=str(self._checkpoint(parent)) if parent and not begun else None)
        self.start(config)
        barrier()
        run = read_run(folder)
        facts: dict[str, float] = dict(iterations=run.iterations)
        if run.validations:
            facts['miou'] = run.miou
        if run.fscore is not None:
            facts['fscore'] = run.fscore
        return facts

    def start(self, config: Config) -> None:
        """Run a training to its end, and free its memory."""
        runner = Runner.from_cfg(config)
        runner.train()
        del runner
        gc.collect()

    def _checkpoint(self, name: str) -> Path:
        found = pointed_checkpoint(Path(self._runner.work_dir) / name)
        if found is None:
            raise ValueError(
                f'{name}: the training left no checkpoint; default_hooks.checkpoint must save one at the end'
            )
        return found
