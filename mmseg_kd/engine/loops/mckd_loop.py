"""Multistage collaborative distillation: a teacher labels, pairs of students relabel, one student remains."""

import copy
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dist import barrier, get_world_size, is_main_process
from mmengine.logging import print_log
from mmengine.runner import BaseLoop, Runner
from mmseg.registry import LOOPS

from ...datasets.image_list import ImageList
from ...datasets.partitions import read_ids
from ...io.errors import sentence
from ...io.files import remove_leftovers, walk, write_atomically
from ...io.runs import pointed_checkpoint
from ...labeling import Labeler, agreement, by_name, find_images, images_of_ids
from ..checks import check_config
from ..config_changes import settings
from .mckd_checks import check_classes, check_settings, check_soft_labels, label_data_set
from .mckd_halves import HALVES, split_in_halves
from .mckd_labels import TEACHER_LABELS, MCKDLabels
from .mckd_networks import MCKDNetworks
from .mckd_report import draw_stages, mckd_table
from .mckd_state import MCKDState
from .rehearsal import rehearse, write_stand_in

FINAL, REHEARSAL = 'final', 'rehearsal'


@LOOPS.register_module()
class MCKDLoop(BaseLoop):
    """Multistage collaborative distillation (MCKD) of segmentation networks, from images without labels.

    1. The teacher labels all images.
    2. The images are split into two halves, once.
    3. In every stage, two fresh students learn, each from one half; then each labels the *other* half. No student
       labels images that it, or its initial checkpoint, was trained on.
    4. One final student learns from the latest labels of all images.

    The config is that of an ordinary training of the student, except for ``train_cfg``. Its ``train_dataloader`` holds
    a ``PseudoLabelDataset`` with ``images``, and with ``ids`` to use only some of them. Wrappers may contain it, and
    ``ConcatDataset`` may add images with true labels. The loop adds the labels. Every training is an ordinary Runner in
    a folder of its own (``stage_1/a``, ``final``), with the hooks, validation and early stopping of the config. The
    student of its last checkpoint labels. Its seed is that of the config plus its place in the order.

    Before the first label, one training runs for one step and one validation on synthetic labels. This finds wrong
    settings before all images are labeled.

    ``<work_dir>/mckd.json`` records the finished parts. ``--resume`` continues a killed run, and repeats no finished
    part.

    Args:
        runner: runner of the whole run, whose config serves all trainings.
        dataloader: template of the ``train_dataloader`` of the trainings.
        teacher: ``dict(config=..., checkpoint=...)`` of a segmentor with the same classes, or with a ``class_map`` to
            them (:class:`~mmseg_kd.models.ClassMap`). A segmentor whose config names its weights needs no checkpoint.
        train: ``train_cfg`` of every training.
        num_stages: number of stages with a pair of students; 0 is plain distillation from the teacher's labels.
        group: regular expression that is searched in the ids; images whose first group is equal (a city, a video) stay
            in one half. None splits image by image.
        threshold: probability below which a pixel is ignored.
        top_k: number of classes whose probabilities are written too, for a
            :class:`~mmseg_kd.distillers.SoftLabelDistiller`; 0 writes hard labels only.
        warm_start: whether a student starts from the student of the previous stage that learned from the same half.
        tta: whether to label with test-time augmentation.
        truth: config of a data set with the true labels of the images, to measure the labels; no student sees it.

    Raises:
        ValueError: if a setting is impossible, if teacher and student have different classes, or if the work directory
            holds another run or a run with other settings.

    Paper: Zhao et al., "Multistage Collaborative Knowledge Distillation from a Large Language Model for Semi-Supervised
    Sequence Generation" (ACL 2024, arXiv 2311.08640), taken from sequences to segmentation.
    """

    def __init__(
        self,
        runner: Runner,
        dataloader: dict,
        teacher: dict,
        train: dict,
        num_stages: int = 1,
        group: str | None = None,
        threshold: float = 0.0,
        top_k: int = 0,
        warm_start: bool = False,
        tta: bool = False,
        truth: dict | None = None,
    ) -> None:
        # The parent's constructor would build the template.
        self._runner, self.dataloader = runner, dataloader
        check_settings(num_stages, teacher, group)
        template = label_data_set(dataloader['dataset'])
        check_soft_labels(template.get('pipeline') or (), top_k, runner.cfg.model)
        self._images, self._ids = template['images'], template.get('ids')
        self._num_stages, self._group, self._warm_start = num_stages, group, warm_start
        self._source = dict({key: str(value) for key, value in teacher.items()}, tta=tta)
        self._folder, self._top_k, self._tta = Path(runner.work_dir), top_k, tta
        self.networks = MCKDNetworks(runner, teacher, train, tta)
        self.labels = MCKDLabels(self._folder, self._images, threshold, top_k, truth)
        # The Runner and its hooks read these attributes of a training loop.
        self.stop_training = False
        self.iter = self.epoch = 0
        self.max_iters = self.max_epochs = 1

    def run(self) -> Any:
        """Run all unfinished parts.

        Returns:
            nn.Module: the untrained model of the Runner; the trained student is in ``final/``.
        """
        files = self._find_images()
        for folder, _ in walk(self._folder) if is_main_process() and self._folder.is_dir() else ():
            remove_leftovers(folder)
        self._state = MCKDState(self._folder, settings(self._runner.cfg._cfg_dict.to_dict()), self._runner._resume)
        if not self._state.done(TEACHER_LABELS):
            self.rehearse_once()
        self._label(TEACHER_LABELS, files, self._build_teacher, self._source)
        names = self.labels.names()
        halves = self._split(names) if self._num_stages else {}
        labels = dict.fromkeys(HALVES, TEACHER_LABELS)
        for stage in range(1, self._num_stages + 1):
            for place, half in enumerate(HALVES):
                parent = f'stage_{stage - 1}/{half}' if self._warm_start and stage > 1 else None
                number = len(HALVES) * (stage - 1) + place + 1
                self._train(f'stage_{stage}/{half}', number, [labels[half]], len(halves[half]), half, parent)
            self._compare_pair(stage)
            for half in HALVES:
                labels[half] = f'labels/stage_{stage}/{half}'
                self._relabel(labels[half], {key: files[key] for key in halves[half]}, stage, half)
        last = len(HALVES) * self._num_stages + 1
        self._train(FINAL, last, list(dict.fromkeys(labels.values())), len(names))
        self._report()
        return self._runner.model

    def number_of_images(self) -> int:
        """Number of images to label."""
        return len(self._find_images())

    def stand_in(self, folder: Path) -> Config:
        """The config of a training on synthetic labels, with as many images as a step needs.

        This also checks teacher, classes, groups and truth. All processes must call it.

        Args:
            folder: empty folder for labels and lists.

        Returns:
            Config: config of an ordinary training.

        Raises:
            ValueError: if a check fails.
        """
        files = self._find_images()
        teacher = self._build_teacher()
        if self.labels.has_truth:
            next(self.labels.true_labels(files))
        ids = split_in_halves(sorted(files), self._group, self.networks.seed) if self._num_stages else {}
        batch = self.dataloader.get('batch_size', 1) * get_world_size()
        shown = write_stand_in(
            str(folder / 'labels'), files, self._images, teacher.classes, teacher.palette, self._top_k, batch
        )
        for name, listed in dict(ids, shown=shown).items():
            self._write(folder / f'{name}.txt', '\n'.join(listed) + '\n')
        return self.networks.training(REHEARSAL, 0, folder / 'training', [str(folder / 'labels')], folder / 'shown.txt')

    def rehearse(self, config: Config, folder: Path) -> None:
        """Try a training and the labeling by its student, and check the batches of all trainings.

        Args:
            config: config that :meth:`stand_in` returned.
            folder: folder that :meth:`stand_in` wrote to.

        Raises:
            ValueError: if a training or the labeling would fail.
        """
        refusals = check_config(self._runner.cfg).refusals
        if refusals:
            raise ValueError(refusals[0])
        try:
            lists = [folder / f'{half}.txt' for half in HALVES] if self._num_stages else []
            labels = [str(folder / 'labels')]
            rehearse(config, [self.networks.training(REHEARSAL, 0, folder, labels, ids) for ids in (*lists, None)])
            checkpoint = pointed_checkpoint(folder / 'training')
            if checkpoint is None:
                raise ValueError(
                    'a training leaves no checkpoint, which its student needs to label; default_hooks.checkpoint must '
                    'save one at the end, and have no out_dir'
                )
            student = self.networks.student_of(checkpoint)
            student(str(Path(self._images) / sorted(self._find_images().values())[0]))
        except Exception as error:  # networks, data sets and hooks of users may raise anything
            raise ValueError(f'a training of {type(self).__name__} would fail: {sentence(error)}') from error

    def rehearse_once(self) -> None:
        """Try a training before hours of labeling; its files are removed."""
        self._log('trying a training on synthetic labels')
        folder = self._folder / REHEARSAL
        if is_main_process():
            shutil.rmtree(folder, ignore_errors=True)
        barrier()
        try:
            self.rehearse(self.stand_in(folder), folder)
            barrier()
        finally:
            if is_main_process():
                shutil.rmtree(folder, ignore_errors=True)

    @staticmethod
    def labeled_by(half: str) -> str:
        """The half whose student labels a half: the other one."""
        return HALVES[1 - HALVES.index(half)]

    def _find_images(self) -> dict[str, str]:
        """Files by id, which is the path without suffix."""
        if self._ids is None:
            return by_name(find_images(self._images))
        return images_of_ids(self._images, read_ids(self._ids), 'train_dataloader.dataset.ids', self._ids)

    def _build_teacher(self) -> Labeler:
        teacher = self.networks.teacher()
        check_classes(self._runner.cfg, teacher.classes, type(self).__name__)
        return teacher

    def _split(self, names: Sequence[str]) -> dict[str, list[str]]:
        """Two halves, recorded as list files."""
        halves = split_in_halves(names, self._group, self.networks.seed)
        if not self._state.done('partition'):
            for half, ids in halves.items():
                self._write(self._list(half), '\n'.join(ids) + '\n')
            self._state.finish('partition', {half: len(ids) for half, ids in halves.items()})
        return halves

    def _list(self, half: str) -> Path:
        return self._folder / 'partition' / f'{half}.txt'

    def _label(self, name: str, files: dict[str, str], build: Callable[[], Labeler], source: dict) -> None:
        if self._state.done(name):
            return
        labeler = build()
        self._log(f'{name}: labeling {len(files)} images')
        facts = self.labels.write(name, labeler, list(files.values()), source, self._progress(name))
        self._state.finish(name, facts)

    def _relabel(self, name: str, files: dict[str, str], stage: int, half: str) -> None:
        student = f'stage_{stage}/{self.labeled_by(half)}'
        self._label(name, files, lambda: self.networks.student(student), dict(student=student, tta=self._tta))

    def _train(
        self, name: str, number: int, labels: list[str], images: int, half: str | None = None, parent: str | None = None
    ) -> None:
        if self._state.done(name):
            return
        folder, ids = self._folder / name, None if half is None else self._list(half)
        config = self.networks.training(name, number, folder, [str(self.labels.path(part)) for part in labels], ids)
        self._log(f'{name}: training on {images} images, in {folder}')
        self._state.finish(name, dict(images=images, **self.networks.train(config, parent)))

    def _compare_pair(self, stage: int) -> None:
        """Measure the agreement of the two students of a stage on the validation images."""
        name = f'stage_{stage}/pair'
        loader = self._runner.cfg.get('val_dataloader')
        if self._state.done(name) or loader is None:
            return
        paths = ImageList.within(copy.deepcopy(loader.dataset), 'val_dataloader.dataset').paths()
        first, second = (self.networks.student(f'stage_{stage}/{half}') for half in HALVES)
        self._state.finish(name, dict(images=len(paths), agreement=agreement(first, second, paths)))

    def _report(self) -> None:
        table = mckd_table(self._state.parts)
        self._write(self._folder / 'mckd.md', table)
        self._log('\n' + table)
        if is_main_process():
            self.draw()
        barrier()

    def draw(self) -> None:
        """Draw the labels of some images at every stage."""
        draw_stages(self.labels, self._num_stages, self._runner.cfg)

    def _write(self, path: Path, text: str) -> None:
        if is_main_process():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, text)
        barrier()

    def _log(self, text: str) -> None:
        # MMEngine's current logger is that of the latest training.
        print_log(text, self._runner.logger)

    def _progress(self, name: str) -> Callable[[int, int], None]:
        """A function that logs a line after every tenth of the images."""

        def report(done: int, total: int) -> None:
            if done == total or done * 10 // total > (done - 1) * 10 // total:
                self._log(f'{name}: {done} of {total} images')

        return report


@LOOPS.register_module()
class OwnPartitionMCKDLoop(MCKDLoop):
    """A control experiment for :class:`MCKDLoop`: every student relabels the half that it learned from.

    All else is equal, so the difference shows the gain from labeling the other half.
    """

    @staticmethod
    def labeled_by(half: str) -> str:
        """The half whose student labels a half: the same one."""
        return half
