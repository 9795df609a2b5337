import logging
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from mmengine.dist import collect_results, is_main_process
from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook
from mmengine.runner import Runner, TestLoop, ValLoop
from mmseg.registry import HOOKS
from mmseg.structures import SegDataSample
from torch import Tensor

from ...constants import IGNORE_INDEX
from ...evaluation.pixels import label_maps
from ...io.image_confusion import (
    BEST,
    LAST,
    TEST,
    ImageConfusion,
    read_image_confusion,
    relative_names,
    write_image_confusion,
)


@HOOKS.register_module()
class ImageConfusionHook(Hook):
    """Write the confusion matrix of every validation image, for intervals over images in ``tools/compare.py``.

    ``confusion_last.npz`` in the work directory is of the last validation, ``confusion_best.npz`` of the validation
    with the highest mIoU, and ``confusion_test.npz`` of the last test. Every training and test gets this hook. It
    writes nothing if the samples have no labels. :func:`~mmseg_kd.io.image_confusion.read_image_confusion` reads the
    files.
    """

    def __init__(self) -> None:
        self._found: list[tuple[str, np.ndarray, np.ndarray]] = []
        self._complete = True
        self._best = -math.inf

    def before_train(self, runner: Runner) -> None:
        self._best = -math.inf
        path = Path(runner.work_dir, BEST)
        if runner.iter > 0 and path.is_file():
            try:
                best = read_image_confusion(path)
            except ValueError as error:
                runner.logger.warning(str(error))
            else:
                # A file of a later iteration is of a validation that the resumed training repeats.
                self._best = best.miou if best.iteration <= runner.iter else self._best

    def before_val_epoch(self, runner: Runner) -> None:
        self._found, self._complete = [], True

    before_test_epoch = before_val_epoch

    def after_val_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict, outputs: Sequence[SegDataSample]
    ) -> None:
        self._count(outputs, runner.val_evaluator)

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict, outputs: Sequence[SegDataSample]
    ) -> None:
        self._count(outputs, runner.test_evaluator)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        confusion = self._collect(runner, runner.val_loop)
        if confusion is not None:
            self._write(runner, LAST, confusion)
            if confusion.miou > self._best:
                self._best = confusion.miou
                self._write(runner, BEST, confusion)

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        confusion = self._collect(runner, runner.test_loop)
        if confusion is not None:
            self._write(runner, TEST, confusion)

    def _count(self, outputs: Sequence[SegDataSample], evaluator: Evaluator) -> None:
        classes = (evaluator.dataset_meta or {}).get('classes') or ()
        # The number that IoUMetric ignores.
        ignored = next((one.ignore_index for one in evaluator.metrics if hasattr(one, 'ignore_index')), IGNORE_INDEX)
        for output in outputs:
            sample = output.to_dict()
            if not classes or not {'gt_sem_seg', 'pred_sem_seg'} <= sample.keys():
                self._complete = False
                return
            predicted, truth = label_maps(sample, ignored)
            if predicted.shape != truth.shape:
                self._complete = False
                return
            cells, pixels = confusion_cells(predicted, truth, len(classes))
            self._found.append((sample.get('img_path') or '', cells, pixels))

    def _collect(self, runner: Runner, loop: ValLoop | TestLoop) -> ImageConfusion | None:
        """The matrices of all processes in the order of the data set; None in processes that do not write."""
        found = collect_results([(self._complete, self._found)], 2**30, 'gpu')  # 'gpu': without a shared folder
        self._found = []
        if not is_main_process() or not all(complete for complete, _ in found):
            return None
        # Each process has every n-th image; the last images of the data set may be repeated to fill a batch.
        parts = [part for _, part in found]
        ordered = [part[i] for i in range(max(map(len, parts))) for part in parts if i < len(part)]
        ordered = ordered[: len(loop.dataloader.dataset)]
        if not ordered:
            return None
        names, cells, pixels = zip(*ordered)
        images = np.repeat(np.arange(len(cells)), [len(one) for one in cells])
        classes = [str(name) for name in loop.evaluator.dataset_meta['classes']]
        return ImageConfusion(
            relative_names(names), classes, runner.iter, images, np.concatenate(cells), np.concatenate(pixels)
        )

    def _write(self, runner: Runner, name: str, confusion: ImageConfusion) -> None:
        try:
            write_image_confusion(Path(runner.work_dir, name), confusion)
        except OSError as error:  # statistics are no reason to lose a training
            runner.logger.log(logging.WARNING, f'the confusion matrices of this validation are not written: {error}')


def confusion_cells(predicted: Tensor, truth: Tensor, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """The cells of a confusion matrix that are not 0.

    Args:
        predicted: Predicted classes of pixels, of any shape.
        truth: Labels of the same shape. Pixels without a class as label, such as ignored ones, do not count.
        num_classes: Number of classes C.

    Returns:
        tuple: Indices ``true class * C + predicted class`` in ascending order, and their numbers of pixels.

    Example:
        >>> confusion_cells(torch.tensor([0, 1, 1, 1]), torch.tensor([0, 0, 0, 255]), 2)
        (array([0, 1]), array([1, 2]))
    """
    known = (truth >= 0) & (truth < num_classes) & (predicted >= 0) & (predicted < num_classes)
    # The other pixels get a cell of their own: to select pixels takes four times as long.
    cells = torch.where(known, truth * num_classes + predicted, num_classes**2)
    counts = torch.bincount(cells.flatten(), minlength=num_classes**2 + 1)[:-1]
    cells = counts.nonzero()[:, 0]
    return cells.cpu().numpy(), counts[cells].cpu().numpy()
