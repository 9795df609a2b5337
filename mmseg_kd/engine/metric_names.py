"""Names of the metrics that validation will report, found before training."""

import copy
import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook
from mmengine.logging import MMLogger
from mmengine.structures import PixelData
from mmseg.registry import EVALUATOR, HOOKS
from mmseg.structures import SegDataSample

from ..io.data_sets import data_set_facts

SIDE = 4  # height and width of the synthetic label map
KNOWN = ('mmengine', 'mmseg', 'mmseg_kd')  # hooks of these packages add no metrics, or have metric_prefix


class MetricNames(NamedTuple):
    """Names of metrics, as they appear in hooks and logs.

    Args:
        names: Names in the order in which validation reports them.
        complete: Whether no other names can appear. Metrics that fail on a small synthetic map, and custom hooks that
            run after validation, report names that are unknown before the first validation.
        prefixes: Prefixes of further names.
    """

    names: list[str]
    complete: bool
    prefixes: tuple[str, ...] = ()

    def may_hold(self, name: str) -> bool:
        """Whether validation reports a metric, as far as this is known."""
        return name in self.names or name.startswith(self.prefixes)


def metric_names(config: Config) -> MetricNames:
    """Find the names of metrics by evaluating a small synthetic label map, and from the hooks.

    Nothing is written, and processes do not wait for each other.

    Args:
        config: Config of a training; without ``val_evaluator``, there are no metrics.

    Raises:
        ValueError: If a metric cannot be built.
    """
    wanted = config.get('val_evaluator')
    if wanted is None:
        return MetricNames([], True)
    classes = _classes(config)
    sample = SegDataSample(
        gt_sem_seg=_map(torch.zeros(1, SIDE, SIDE, dtype=torch.long)),
        pred_sem_seg=_map(torch.zeros(1, SIDE, SIDE, dtype=torch.long)),
        seg_logits=_map(torch.zeros(len(classes), SIDE, SIDE)),
        gt_depth_map=_map(torch.ones(1, SIDE, SIDE)),
        pred_depth_map=_map(torch.ones(1, SIDE, SIDE)),
        metainfo=dict(img_path='image.png', seg_map_path='image.png', ori_shape=(SIDE, SIDE), img_shape=(SIDE, SIDE)),
    )
    names: list[str] = []
    complete = True
    with _silent(), tempfile.TemporaryDirectory() as folder:
        for metric in _build(wanted, folder):
            metric.dataset_meta = dict(classes=classes, label_map=None, reduce_zero_label=False)
            try:
                metric.process(dict(inputs=[torch.zeros(3, SIDE, SIDE)], data_samples=[sample]), [sample.to_dict()])
                found = metric.compute_metrics(metric.results)
            except Exception:  # a user's metric may ask for anything
                complete = False
                continue
            prefix = getattr(metric, 'prefix', None)
            names.extend(f'{prefix}/{name}' if prefix else name for name in found)
    prefixes, others = _of_hooks(config)
    return MetricNames(names, complete and not others, prefixes)


def _of_hooks(config: Config) -> tuple[tuple[str, ...], bool]:
    """Prefixes of the names that hooks add, and whether a custom hook may add more."""
    prefixes, others = [], False
    for hook in config.get('custom_hooks') or ():
        kind = hook.get('type') if isinstance(hook, dict) else type(hook)
        kind = HOOKS.get(kind) if isinstance(kind, str) else kind
        if kind is None:
            continue
        prefixes += [kind.metric_prefix] if hasattr(kind, 'metric_prefix') else []
        root = kind.__module__.partition('.')[0]
        others |= root not in KNOWN and kind.after_val_epoch is not Hook.after_val_epoch
    return tuple(prefixes), others


def _build(wanted: Any, folder: str) -> list[Any]:
    wanted = copy.deepcopy(wanted)
    if isinstance(wanted, Evaluator):
        return list(wanted.metrics)
    if isinstance(wanted, dict) and 'metrics' in wanted:
        return list(EVALUATOR.build(dict(dict(type='Evaluator'), **wanted)).metrics)
    wanted = list(wanted) if isinstance(wanted, (list, tuple)) else [wanted]
    for metric in wanted:
        if isinstance(metric, dict) and metric.get('output_dir') is not None:
            metric['output_dir'] = folder  # some metrics create it at once
    try:
        return list(Evaluator(wanted).metrics)
    except (KeyError, TypeError, AssertionError) as error:
        raise ValueError(f'val_evaluator cannot be built: {" ".join(str(error).split())}') from None


def _classes(config: Config) -> list[str]:
    """The classes of the validation set, or two placeholders if its config does not name them."""
    try:
        known = data_set_facts(config.val_dataloader.dataset, 'val_dataloader.dataset')[0].get('classes')
    except Exception:  # the Runner will raise the same error
        known = None
    return list(known or ('first', 'second'))


def _map(data: torch.Tensor) -> PixelData:
    return PixelData(data=data)


@contextmanager
def _silent() -> Iterator[None]:
    """Suppress the tables that metrics log."""
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
