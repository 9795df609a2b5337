"""One step and one validation of a training whose labels do not exist yet, on synthetic labels."""

import copy
import gc
import json
from collections.abc import Sequence
from pathlib import Path

import mmcv
import torch
from mmengine.config import Config
from mmengine.dist import barrier, is_main_process
from mmengine.runner import Runner
from torch import Tensor
from torch.utils.data import DataLoader, Subset

from ...io.files import write_atomically
from ...labeling import write_labels
from ..checks import check_loader, training_loop, training_size

VALIDATED = 2  # images
LABELS = 'labels.json'


class StandIn:
    """A synthetic labeler: each class is one vertical band of the image.

    Args:
        classes: Number of classes.
    """

    def __init__(self, classes: int) -> None:
        self._classes = classes

    def __call__(self, path: str) -> Tensor:
        """Class probabilities (C, H, W) for the image at a path."""
        image = mmcv.imread(path)
        if image is None:
            raise ValueError(f"{path} can't be read as an image; repair or remove it")
        height, width = image.shape[:2]
        bands = torch.arange(width) * self._classes // width
        labels = bands.expand(height, width)
        return torch.nn.functional.one_hot(labels, self._classes).permute(2, 0, 1).float()


def write_stand_in(
    out: str,
    files: dict[str, str],
    images: str,
    classes: Sequence[str],
    palette: Sequence | None,
    top_k: int,
    number: int,
) -> list[str]:
    """Write synthetic labels: ``labels.json`` lists all images, and the first ones have a label map.

    All processes must call this.

    Args:
        out: Folder of the labels.
        files: Paths of the images relative to ``images``, by id.
        images: Folder of the images.
        classes: Class names.
        palette: Colors of the classes.
        top_k: Number of classes whose probabilities are written too.
        number: Number of images with a label map.

    Returns:
        list[str]: ids of the images with a label map.
    """
    shown = sorted(files)[:number]
    summary = write_labels(
        StandIn(len(classes)),
        [files[name] for name in shown],
        images,
        out,
        classes,
        palette,
        top_k=top_k,
        source=dict(stand_in=True),
    )
    example = summary['images'][shown[0]]
    summary['images'] = {name: dict(example, image=file) for name, file in files.items()}
    if is_main_process():
        write_atomically(Path(out, LABELS), json.dumps(summary))
    barrier()
    return shown


def rehearse(config: Config, trainings: Sequence[Config]) -> None:
    """Run a training for one iteration and one validation of two images, with all of its hooks and checkpoints.

    First, the batches of all trainings are checked. Logs are written to files only, not to any service.

    Args:
        config: Config of a training with a ``work_dir`` of its own, on images that have a label map.
        trainings: Configs of the real trainings, whose labels list all of their images.

    Raises:
        ValueError: in one line, if a training would get no batches, or batches that its network cannot process.
    """
    config = copy.deepcopy(config)
    length = config.train_cfg
    config.train_cfg = dict(type='IterBasedTrainLoop', max_iters=1, val_interval=1)
    config.update(
        log_processor=dict(config.get('log_processor') or {}, by_epoch=False),
        log_level='WARNING',
        resume=False,
        load_from=None,
    )
    checkpoint = (config.get('default_hooks') or {}).get('checkpoint')
    if checkpoint:
        checkpoint.pop('save_last', None)  # the rehearsal needs a checkpoint in any case
    if config.get('visualizer'):
        config.visualizer.vis_backends = [dict(type='LocalVisBackend')]
    for loader in (config.train_dataloader, config.get('val_dataloader')):
        if loader is not None:
            # Errors in worker processes are a page of text.
            loader.update(num_workers=0, persistent_workers=False)
            for key in ('prefetch_factor', 'multiprocessing_context', 'timeout'):
                loader.pop(key, None)
    runner = Runner.from_cfg(config)
    runner.build_train_loop(copy.deepcopy(length))  # raises on wrong settings
    if config.get('val_dataloader') is not None:
        runner._val_loop = runner.build_val_loop(runner._val_loop)
        loader = runner.val_loop.dataloader
        runner.val_loop.dataloader = DataLoader(
            Subset(loader.dataset, range(min(VALIDATED, len(loader.dataset)))),
            batch_size=1,
            collate_fn=loader.collate_fn,
        )
    for training in trainings:
        listed = Runner.build_dataloader(copy.deepcopy(training.train_dataloader), seed=0)
        refusals = check_loader(listed, runner.model, training_size(training), training_loop(training)).refusals
        if refusals:
            raise ValueError(refusals[0])
    runner.train()
    del runner
    gc.collect()
