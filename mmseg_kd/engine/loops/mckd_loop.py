"""Multistage collaborative distillation: a teacher labels, pairs of students relabel, one student remains."""

import copy
import gc
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.dist import barrier, get_world_size, is_main_process
from mmengine.logging import print_log
from mmengine.runner import BaseLoop, Runner
from mmseg.registry import LOOPS
from PIL import Image

from ...constants import IGNORE_INDEX
from ...datasets.image_list import ImageList
from ...datasets.partitions import read_ids
from ...datasets.reading import read_labels, read_picture
from ...distillers.class_logits import count_classes
from ...distillers.labels import ignored_label, unify_ignored
from ...io.configs import segmentor_config
from ...io.data_sets import data_set_facts
from ...io.errors import sentence
from ...io.files import write_atomically
from ...io.runs import read_run
from ...labeling import (
    Labeler,
    agreement,
    by_name,
    class_shares,
    find_images,
    images_of_ids,
    judge,
    read_summary,
    write_labels,
)
from ...visualization.label_picture import draw_labels, spread_images
from ..checks import check_config
from ..config_changes import settings
from .mckd_state import MCKDState, mckd_table
from .rehearsal import checkpoint_of, rehearse, write_stand_in

HALVES = ('a', 'b')
FINAL, TEACHER_LABELS, REHEARSAL = 'final', 'labels/teacher', 'rehearsal'
PICTURED = 4


@LOOPS.register_module()
class MCKDLoop(BaseLoop):
    """Multistage collaborative distillation of segmentation networks, from images without labels.

    1. The teacher labels all images.
    2. The images are split into two halves, once.
    3. In every stage, two fresh students learn, each from one half; then each labels the *other* half. No network
    labels
       an image that it, or what it started from, was trained on: what it memorized is not fed back.
    4. One last student learns from the latest labels of all images.

    The config is that of an ordinary training of the student but for ``train_cfg``; its ``train_dataloader`` holds a
    ``PseudoLabelDataset`` with ``images`` (and ``ids``, to take some of them), to which the loop adds the labels, alone
    or within wrappers; joined with others by ``ConcatDataset``, a few images with true labels are mixed in. Every
    training is an ordinary Runner in a folder of its own (``stage_1/a``, ``final``), with the config's hooks,
    validation and early stopping; its last checkpoint labels. Each has the seed of the config plus its place in the
    order.

    Before the first label, a training is tried for one step and one validation, on labels that stand in for the
    teacher's: what is wrong with its settings does not wait until all images are labeled.

    Everything done is recorded in ``<work_dir>/mckd.json``. Kill it and start it again with ``--resume``: nothing that
    is finished is repeated.

    Args:
        runner: of the whole; what it was configured with serves the trainings.
        dataloader: the template of their ``train_dataloader``.
        teacher: ``dict(config=..., checkpoint=...)`` of a segmentor of the same classes; one that comes with its
            weights needs no checkpoint.
        train: ``train_cfg`` of every training.
        num_stages: stages with a pair of students; 0 is plain distillation by the teacher's labels.
        group: regular expression whose first group, found in an id, says what belongs together (a city, a video) and
            stays in one half; None splits image by image.
        threshold: probability below which a pixel that is labeled becomes void.
        top_k: classes of which labels also hold the probabilities, for students that learn from them
            (:class:`~mmseg_kd.distillers.SoftLabelDistiller`); 0 for hard labels alone.
        warm_start: the students of a stage go on from those of the stage before that learned from the same half.
        tta: label with test-time augmentation.
        truth: config of a data set that knows the true labels of the images, to judge the labels by; students never
            see it.

    Raises:
        ValueError: in one line, if a setting is impossible, the classes of teacher and student differ, the work
            directory holds another run, or a run of changed settings.

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
        # The parent would build the template.
        self._runner, self.dataloader = runner, dataloader
        if not isinstance(num_stages, int) or num_stages < 0:
            raise ValueError(f'train_cfg.num_stages must be 0, 1, 2, ..., but is {num_stages}')
        if 'config' not in teacher or set(teacher) - {'config', 'checkpoint'}:
            raise ValueError(
                'train_cfg.teacher must be dict(config=..., checkpoint=...), but has '
                f'{", ".join(sorted(teacher)) or "nothing"}'
            )
        if group is not None and re.compile(group).groups < 1:
            raise ValueError(
                f'train_cfg.group must be a regular expression with a group, such as "^([^_]+)_", but is {group}'
            )
        self._teacher, self._train_cfg, self._num_stages, self._group = teacher, train, num_stages, group
        self._threshold, self._top_k, self._warm_start, self._tta, self._truth = (
            threshold,
            top_k,
            warm_start,
            tta,
            truth,
        )
        template = list(_templates(dataloader['dataset']))
        if len(template) != 1:
            raise ValueError(
                'train_dataloader.dataset must hold one data set with the key "images" (PseudoLabelDataset), '
                f'but holds {len(template)}'
            )
        pipeline = str(template[0].get('pipeline', ()))  # as text: transforms may be wrapped in others
        if not top_k and 'LoadSoftLabels' in pipeline:
            raise ValueError(
                'train_cfg.top_k must be 1, 2, 3, ... where the pipeline of train_dataloader.dataset has '
                f'LoadSoftLabels, but is {top_k}; set it, or leave LoadSoftLabels out'
            )
        for transform in ('LoadSoftLabels', 'PackSoftSegInputs'):
            if 'SoftLabelDistiller' in str(runner.cfg.model.type) and transform not in pipeline:
                raise ValueError(
                    'a SoftLabelDistiller learns from soft labels, but the pipeline of '
                    f"train_dataloader.dataset has no dict(type='{transform}'); add it, or take the student "
                    'itself as model'
                )
        self._images, self._ids = template[0]['images'], template[0].get('ids')
        self._folder = Path(runner.work_dir)
        # What the Runner and its hooks ask of a training loop.
        self.stop_training = False
        self.iter = self.epoch = 0
        self.max_iters = self.max_epochs = 1

    def run(self) -> Any:
        """Run what is not done yet.

        Returns:
            nn.Module: the Runner's model, which is not trained; the last student is that of ``final/``.
        """
        files = self._find_images()
        self._state = MCKDState(self._folder, settings(self._runner.cfg._cfg_dict.to_dict()), self._runner._resume)
        if not self._state.done(TEACHER_LABELS):
            self._rehearse_once()
        self._label(
            TEACHER_LABELS, files, self._build_teacher, {key: str(value) for key, value in self._teacher.items()}
        )
        names = sorted(read_summary(str(self._folder / TEACHER_LABELS))['images'])
        halves = self._split(names) if self._num_stages else {}
        labels = {half: [str(self._folder / TEACHER_LABELS)] for half in HALVES}
        seed = 0
        for stage in range(1, self._num_stages + 1):
            for half in HALVES:
                seed += 1
                self._train(
                    f'stage_{stage}/{half}',
                    seed,
                    labels[half],
                    half,
                    len(halves[half]),
                    f'stage_{stage - 1}/{half}' if self._warm_start and stage > 1 else None,
                )
            self._compare_pair(stage)
            for half in HALVES:
                student = f'stage_{stage}/{self.labeled_by(half)}'
                name = f'labels/stage_{stage}/{half}'
                self._label(
                    name,
                    {key: files[key] for key in halves[half]},
                    lambda: self._student(student),
                    dict(student=student),
                )
                labels[half] = [str(self._folder / name)]
        everything = list(dict.fromkeys(folder for half in HALVES for folder in labels[half]))
        self._train(FINAL, seed + 1, everything, None, len(names), None)
        self._report()
        return self._runner.model

    def number_of_images(self) -> int:
        """Images that are labeled."""
        return len(self._find_images())

    def stand_in(self, folder: Path) -> Config:
        """The config of a training on labels that stand in for the teacher's, of as many images as a step needs.

        What can be wrong with teacher, classes, groups and truth is found here. All processes must call this.

        Args:
            folder: for labels and lists; it must be empty.

        Returns:
            Config: of an ordinary training.

        Raises:
            ValueError: in one line.
        """
        files = self._find_images()
        teacher = self._build_teacher()
        if self._truth is not None:
            next(self._true_labels(files))
        ids = dict(self._halves(sorted(files))) if self._num_stages else {}
        batch = self.dataloader.get('batch_size', 1) * get_world_size()
        shown = write_stand_in(
            str(folder / 'labels'), files, self._images, teacher.classes, teacher.palette, self._top_k, batch
        )
        for name, listed in dict(ids, shown=shown).items():
            self._write(folder / f'{name}.txt', '\n'.join(listed) + '\n')
        return self._training(REHEARSAL, 0, folder / 'training', [str(folder / 'labels')], folder / 'shown.txt')

    def rehearse(self, config: Config, folder: Path) -> None:
        """Try a training, and the labeling by its student, and look at the batches of all trainings.

        Args:
            config: of :meth:`stand_in`.
            folder: likewise.

        Raises:
            ValueError: in one line, if something would fail.
        """
        refusals = check_config(self._runner.cfg).refusals
        if refusals:
            raise ValueError(refusals[0])
        try:
            lists = [folder / f'{half}.txt' for half in HALVES] if self._num_stages else []
            labels = [str(folder / 'labels')]
            rehearse(config, [self._training(REHEARSAL, 0, folder, labels, ids) for ids in (*lists, None)])
            checkpoint = checkpoint_of(str(folder / 'training'))
            if checkpoint is None:
                raise ValueError(
                    'a training leaves no checkpoint, by which its student could label; default_hooks.checkpoint '
                    'must save one at the end, and have no out_dir'
                )
            student = Labeler(copy.deepcopy(self._runner.cfg), checkpoint, self._tta)
            student(str(Path(self._images) / sorted(self._find_images().values())[0]))
        except Exception as error:  # of networks, data sets and hooks of users
            raise ValueError(f'a training of {type(self).__name__} would fail: {sentence(error)}') from error

    def _rehearse_once(self) -> None:
        """What can fail in the trainings fails here, before hours of labeling; nothing of it is left."""
        self._log('trying a training on labels that stand in for those of the teacher')
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
        """The student that labels a half: the one that did not learn from it."""
        return HALVES[1 - HALVES.index(half)]

    def _find_images(self) -> dict[str, str]:
        """File by id, the path without its suffix."""
        if self._ids is None:
            return by_name(find_images(self._images))
        return images_of_ids(self._images, read_ids(self._ids), 'train_dataloader.dataset.ids', self._ids)

    def _build_teacher(self) -> Labeler:
        teacher = Labeler(self._teacher['config'], self._teacher.get('checkpoint'), self._tta)
        model = self._runner.cfg.model.get('student') or self._runner.cfg.model
        head = model.decode_head[-1] if isinstance(model.decode_head, (list, tuple)) else model.decode_head
        classes = count_classes(head)
        if classes != len(teacher.classes):
            raise ValueError(
                f'teacher and student must have the same classes, but train_cfg.teacher has '
                f'{len(teacher.classes)} and the student {classes}; set num_classes of the student, or '
                'take a teacher of the same classes'
            )
        if ignored_label(model) != IGNORE_INDEX:
            raise ValueError(
                f'model.decode_head.ignore_index must be {IGNORE_INDEX}, which ignored pixels are called where '
                f'{type(self).__name__} writes labels, but is {ignored_label(model)}; leave it out'
            )
        loader = self._runner.cfg.get('val_dataloader')
        known = (
            teacher.classes
            if loader is None
            else list(data_set_facts(loader.dataset, 'val_dataloader.dataset')[0].get('classes') or ())
        )
        if known != teacher.classes and sorted(known) == sorted(teacher.classes):
            first = next(index for index, pair in enumerate(zip(known, teacher.classes)) if pair[0] != pair[1])
            raise ValueError(
                f'teacher and validation must have the classes in one order, but class {first} is '
                f'{teacher.classes[first]} to train_cfg.teacher and {known[first]} to '
                'val_dataloader.dataset; bring the classes of one of the two (metainfo) into the order of the other'
            )
        return teacher

    def _split(self, names: Sequence[str]) -> dict[str, list[str]]:
        """Two halves, recorded as list files."""
        halves = self._halves(names)
        if not self._state.done('partition'):
            for half, ids in halves.items():
                self._write(self._list(half), '\n'.join(ids) + '\n')
            self._state.finish('partition', {half: len(ids) for half, ids in halves.items()})
        return halves

    def _halves(self, names: Sequence[str]) -> dict[str, list[str]]:
        """Two halves, by images or by groups."""
        groups: dict[str, list[str]] = {}
        for name in names:
            groups.setdefault(self._group_of(name), []).append(name)
        halves: dict[str, list[str]] = {half: [] for half in HALVES}
        order = np.random.default_rng(self._seed()).permutation(len(groups))
        members = [groups[key] for key in sorted(groups)]
        # The larger groups first, each to the half that has fewer: groups are few, and of very different size.
        for index in sorted(order, key=lambda index: -len(members[index])):
            half = min(HALVES, key=lambda half: len(halves[half]))
            halves[half].extend(members[index])
        if not all(halves.values()):
            raise ValueError(
                f'{len(names)} images in {len(groups)} groups cannot be split into two halves; give more images, '
                'or another train_cfg.group'
            )
        return {half: sorted(ids) for half, ids in halves.items()}

    def _group_of(self, name: str) -> str:
        if self._group is None:
            return name
        found = re.search(self._group, name)
        if found is None:
            raise ValueError(f'train_cfg.group {self._group} must match every id, but does not match {name}')
        return found[1]

    def _list(self, half: str) -> Path:
        return self._folder / 'partition' / f'{half}.txt'

    def _label(self, name: str, files: dict[str, str], build: Callable[[], Labeler], source: dict) -> None:
        if self._state.done(name):
            return
        labeler = build()
        self._log(f'{name}: labeling {len(files)} images')
        summary = write_labels(
            labeler,
            list(files.values()),
            self._images,
            str(self._folder / name),
            labeler.classes,
            labeler.palette,
            self._threshold,
            self._top_k,
            source=dict(source, tta=self._tta),
            report=self._progress(name),
        )
        facts: dict[str, float] = {}
        if is_main_process():  # which alone writes them down
            shares = class_shares(summary)
            facts = dict(
                images=len(files), void=shares['void'], confidence=shares['confidence'], **self._judge(name, summary)
            )
        self._state.finish(name, facts)

    def _judge(self, name: str, summary: dict) -> dict[str, float]:
        """How the labels fare against the truth, and against the teacher's own."""
        facts = {}
        if self._truth is not None:
            files = {key: image['image'] for key, image in summary['images'].items()}
            pairs = ((_read(self._folder / name, key), truth) for key, truth in self._true_labels(files))
            quality = judge(pairs, summary['classes'])
            facts.update(miou=quality.miou, fscore=quality.fscore, accuracy=quality.accuracy)
        if name != TEACHER_LABELS:
            pairs = (
                (_read(self._folder / name, key), _read(self._folder / TEACHER_LABELS, key))
                for key in summary['images']
            )
            facts['miou_to_teacher'] = judge(pairs, summary['classes']).miou
        return facts

    def _true_labels(self, images: dict[str, str]) -> Iterator[tuple[str, np.ndarray]]:
        """Id and true label map of images, given as file by id."""
        truth = ImageList(self._truth, 'train_cfg.truth')
        places = {Path(path).resolve(): index for index, path in enumerate(truth.paths())}
        paths = {key: (Path(self._images) / file).resolve() for key, file in images.items()}
        unknown = [path for path in paths.values() if path not in places]
        if unknown:
            raise ValueError(f'train_cfg.truth must know the images of {self._images}, but does not know {unknown[0]}')
        for key, path in paths.items():
            index = places[path]
            labels = read_labels(*truth.locate(index), 'train_cfg.truth').labels
            yield key, unify_ignored(labels, getattr(truth.locate(index)[0], 'ignore_index', IGNORE_INDEX))

    def _train(
        self, name: str, number: int, labels: list[str], half: str | None, images: int, parent: str | None
    ) -> None:
        if self._state.done(name):
            return
        folder = self._folder / name
        config = self._training(name, number, folder, labels, None if half is None else self._list(half))
        begun = (folder / 'last_checkpoint').is_file()
        config.update(resume=begun, load_from=str(self._checkpoint(parent)) if parent and not begun else None)
        self._log(f'{name}: training on {images} images, in {folder}')
        runner = Runner.from_cfg(config)
        runner.train()
        del runner
        gc.collect()
        barrier()
        run = read_run(folder)
        validated = dict(miou=run.miou) if run.validations else {}
        if run.fscore is not None:
            validated['fscore'] = run.fscore
        self._state.finish(name, dict(images=images, iterations=run.iterations, **validated))

    def _training(self, name: str, number: int, folder: Path, labels: list[str], ids: Path | None) -> Config:
        """The config of an ordinary training; of all images of the data set, if no list of them is given."""
        config = copy.deepcopy(self._runner.cfg)
        config.train_cfg = copy.deepcopy(self._train_cfg)
        for dataset in _templates(config.train_dataloader.dataset):
            dataset.update(labels=labels)
            if ids is not None:
                dataset.update(ids=str(ids))
        # MMEngine keeps loggers and visualizers by name, and the trainings share a process.
        unique = f'{self._runner.experiment_name}_{name.replace("/", "_")}'
        config.update(
            work_dir=str(folder),
            experiment_name=unique,
            randomness=dict(config.get('randomness') or {}, seed=self._seed() + number),
        )
        if config.get('visualizer'):
            config.visualizer.name = unique
        return config

    def _student(self, name: str) -> Labeler:
        config = copy.deepcopy(self._runner.cfg)
        return Labeler(config, str(self._checkpoint(name)), self._tta)

    def _checkpoint(self, name: str) -> Path:
        pointer = self._folder / name / 'last_checkpoint'
        if not pointer.is_file():
            raise ValueError(
                f'{name}: the training left no checkpoint; default_hooks.checkpoint must save one at the end'
            )
        return self._folder / name / Path(pointer.read_text().strip()).name

    def _compare_pair(self, stage: int) -> None:
        """How far the two students of a stage agree on the validation images, which neither has seen."""
        name = f'stage_{stage}/pair'
        loader = self._runner.cfg.get('val_dataloader')
        if self._state.done(name) or loader is None:
            return
        paths = ImageList.within(copy.deepcopy(loader.dataset), 'val_dataloader.dataset').paths()
        students = [self._student(f'stage_{stage}/{half}') for half in HALVES]
        self._state.finish(name, dict(images=len(paths), agreement=agreement(*students, paths)))

    def _report(self) -> None:
        table = mckd_table(self._state.parts)
        self._write(self._folder / 'mckd.md', table)
        self._log('\n' + table)
        if is_main_process():
            self._draw()
        barrier()

    def _draw(self) -> None:
        """What labels some of the images had from stage to stage."""
        columns = {'teacher': [self._folder / TEACHER_LABELS]}
        for stage in range(1, self._num_stages + 1):
            columns[f'stage {stage}'] = [self._folder / f'labels/stage_{stage}/{half}' for half in HALVES]
        images = spread_images(self._folder / TEACHER_LABELS, PICTURED)
        truth = dict(self._true_labels(images)) if self._truth is not None else {}
        (template,) = _templates(self.dataloader['dataset'])
        transforms = Compose(copy.deepcopy(template.get('pipeline') or [])).transforms
        swaps = bool((segmentor_config(self._runner.cfg).get('data_preprocessor') or {}).get('bgr_to_rgb'))
        paths = {name: str(Path(self._images) / file) for name, file in images.items()}
        draw_labels(
            columns,
            paths,
            lambda path: read_picture(transforms, dict(img_path=path), swaps),
            truth,
            self._folder / 'labels.png',
        )

    def _write(self, path: Path, text: str) -> None:
        if is_main_process():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, text)
        barrier()

    def _log(self, text: str) -> None:
        # The logger that MMEngine calls the current one is that of the latest training.
        print_log(text, self._runner.logger)

    def _progress(self, name: str) -> Callable[[int, int], None]:
        """A line in the log at every tenth of the images."""

        def report(done: int, total: int) -> None:
            if done == total or done * 10 // total > (done - 1) * 10 // total:
                self._log(f'{name}: {done} of {total} images')

        return report

    def _seed(self) -> int:
        return (self._runner.cfg.get('randomness') or {}).get('seed') or 0


@LOOPS.register_module()
class OwnPartitionMCKDLoop(MCKDLoop):
    """The control of :class:`MCKDLoop`: every student relabels the half that it learned from.

    The same trainings on as many images; the difference is what labeling for each other brings.
    """

    @staticmethod
    def labeled_by(half: str) -> str:
        """The student that labels a half: the one that learned from it."""
        return half


def _templates(node: Any) -> Iterator[dict]:
    """The data sets that take labels, within whatever wraps or joins them."""
    if isinstance(node, dict):
        if 'images' in node:
            yield node
        else:
            for value in node.values():
                yield from _templates(value)
    elif isinstance(node, (list, tuple)):
        for value in node:
            yield from _templates(value)


def _read(folder: Path, name: str) -> np.ndarray:
    return np.asarray(Image.open(folder / f'{name}.png'))
