"""Outputs of teachers on validation images, at full size."""

import copy
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.structures import PixelData
from mmseg.registry import DATASETS
from mmseg.structures import SegDataSample
from torch import Tensor

from ..datasets.original_pixels import original_pixels
from ..distillers.class_logits import decide, prediction_logits, prediction_threshold
from ..distillers.labels import ignored_label
from ..distillers.teacher import (
    ORIGINAL,
    EnsembleTeacher,
    FrozenTeacher,
    Teacher,
    at_scale,
    build_teachers,
    in_precision,
    live_teachers,
    log_mean,
    original_parts,
    scale_of_originals,
    teachers_by_name,
)
from ..io.configs import outer_preprocessor, published_weights, segmentor_config
from .calibration_metric import CalibrationMetric
from .evaluate import Predict, evaluate, predictions
from .output_statistics import OutputStatistics


def load_teachers(config: Config, checkpoint: str | None = None, name: str = '') -> dict[str, Teacher]:
    """The teachers of a distiller by name, or a plain segmentor under the name ``''``.

    Args:
        config: Config of a distiller or segmentor.
        checkpoint: Checkpoint of the segmentor, or of a distiller's only teacher in place of the one in its config.
        name: Name of the segmentor's config, such as ``mmseg::pspnet/...``, for the checkpoint ``'auto'``.

    Raises:
        ValueError: If a segmentor has no checkpoint, or if one checkpoint is given for several teachers.
    """
    if 'teacher' not in config.model:
        if checkpoint is None:
            raise ValueError(
                'a segmentor needs its checkpoint as the second argument; the config of a distiller names it'
            )
        checkpoint = published_weights(name) if checkpoint == 'auto' else checkpoint
        return {'': FrozenTeacher(model=segmentor_config(config), checkpoint=checkpoint)}
    spec: Any = copy.deepcopy(config.model.teacher)
    if checkpoint is not None:
        if not isinstance(spec, dict) or '' not in teachers_by_name(spec):
            raise ValueError(
                f'{checkpoint}: a checkpoint can be given for a single teacher, but model.teacher has several; leave '
                'the checkpoint out'
            )
        spec['checkpoint'] = checkpoint
    return build_teachers(live_teachers(spec), outer_preprocessor(config))


def analyze_teacher(
    teacher: Teacher,
    config: Config,
    temperatures: Sequence[float],
    images: int,
    report: Callable[[int, int], None] | None = None,
) -> OutputStatistics:
    """Statistics of a teacher's output on a random sample of validation images.

    The logits are those that MMSegmentation predicts from, at the size of the label map, so the mIoU over all images is
    that of a test run. The logits of an ensemble are the logarithm of its mean probabilities.

    Args:
        teacher: Teacher to analyze.
        config: Config whose ``val_dataloader`` has images and labels.
        temperatures: Temperatures of the softened output.
        images: Size of the sample, which is the same for every teacher; a larger number takes all images.
        report: Function that is called after every image with the number of finished images and of all images.

    Raises:
        ValueError: If ``images`` is not >= 1, if the pipeline loads no labels, or if all pixels are ignored.
    """
    if images < 1:
        raise ValueError(f'images must be >= 1, but is {images}')
    dataset = DATASETS.build(copy.deepcopy(config.val_dataloader.dataset))
    # RandomState gives the same sample in every version of NumPy.
    chosen = sorted(np.random.RandomState(0).permutation(len(dataset))[:images].tolist())
    for member in teacher.members:
        member.module.to('cuda' if torch.cuda.is_available() else 'cpu')
    metric = CalibrationMetric(temperatures, ignore_index=ignored_label(segmentor_config(config)))
    with shown(teacher, dataset):
        samples = predictions(teacher_predict(teacher), dataset, chosen, config.val_dataloader.get('num_workers', 0))
        evaluate(samples, metric, dataset.metainfo, None if report is None else lambda done: report(done, len(chosen)))
    assert metric.statistics is not None
    if not metric.statistics.pixels:
        raise ValueError(
            f'at least one pixel must not be ignored, but of {len(chosen)} images all are; take more images'
        )
    return metric.statistics


def teacher_predict(teacher: Teacher) -> Predict:
    """The function that predicts with a teacher, for :func:`~mmseg_kd.evaluation.predictions`.

    Args:
        teacher: Teacher, which sees images as in distillation. The ``seg_logits`` of its predictions are
            :func:`full_size_logits`.
    """

    def predict(batch: dict) -> list[SegDataSample]:
        logits = full_size_logits(teacher, batch)
        threshold = decision_threshold(teacher)
        # Rounded probabilities of two classes may be equal where their logits are not.
        predicted = logits.argmax(0) if threshold is None else decide(logits.float().softmax(0), threshold)[1]
        sample = copy.copy(batch['data_samples'][0])
        sample.set_data(dict(seg_logits=PixelData(data=logits), pred_sem_seg=PixelData(data=predicted[None])))
        return [sample]

    return predict


@torch.no_grad()
def full_size_logits(teacher: Teacher, batch: dict) -> Tensor:
    """Logits (C, H, W), C >= 2, for a batch of one image, at the size of its label map.

    Args:
        teacher: Teacher, which sees the image as in distillation: with its own normalization, scale and dtype.
        batch: Batch of a data loader; not changed.
    """
    if not isinstance(teacher, EnsembleTeacher):
        return _member_logits(teacher, batch)
    votes = [F.log_softmax(_member_logits(member, batch).float(), dim=0) for member in teacher.members]
    return log_mean(votes)


def decision_threshold(teacher: Teacher) -> float | None:
    """Probability of class 1 above which a one-channel teacher predicts it; None for the most probable class."""
    return None if isinstance(teacher, EnsembleTeacher) else prediction_threshold(teacher.module)


def seen_images(member: FrozenTeacher, batch: dict) -> tuple[Tensor, list[Any], torch.Size]:
    """The images of a batch as a teacher sees them, their data samples, and the size before ``scale``.

    Args:
        member: Teacher, on its device.
        batch: Batch of a data loader; with ``pixels='original'``, of a data set within
            :func:`~mmseg_kd.datasets.original_pixels`.
    """
    preprocess = member.module.data_preprocessor
    if member.pixels == ORIGINAL:
        data = preprocess(dict(batch, inputs=original_parts(batch['data_samples'], member.key)), False)
        return data['inputs'], data['data_samples'], data['inputs'].shape[2:]
    data = preprocess(batch, False)
    return at_scale(data['inputs'], member.scale), data['data_samples'], data['inputs'].shape[2:]


def shown(teacher: Teacher, dataset: Any) -> AbstractContextManager:
    """A context in which the items of a data set have what the teacher sees, also original pixels.

    Args:
        teacher: Teacher.
        dataset: Data set that is already built.
    """
    scale = scale_of_originals({'': teacher})
    return nullcontext(dataset) if scale is None else original_pixels(dataset, scale)


def _member_logits(member: FrozenTeacher, batch: dict) -> Tensor:
    module = member.module
    images, samples, size = seen_images(member, copy.deepcopy(batch))
    shape = tuple(images.shape[2:])
    metas = [dict(sample.metainfo, img_shape=shape, pad_shape=shape) for sample in samples]
    with in_precision(member.dtype, images.device.type):
        logits = module.inference(images, metas)
    if logits.shape[2:] != size:
        logits = F.interpolate(logits, size=size, mode='bilinear', align_corners=module.align_corners)
    return module.postprocess_result(prediction_logits(module, logits), samples)[0].seg_logits.data
