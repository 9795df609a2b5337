"""Class probabilities of single images, predicted by a segmentor."""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from mmcv.transforms import LoadAnnotations
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from torch import Tensor

from ..distillers.class_logits import count_classes, prediction_shares, prediction_threshold
from ..io.arguments import build
from ..io.checkpoint import CheckpointError, load_weights
from ..io.configs import published_weights, read_config, segmentor_config, segmentor_key, with_names
from ..io.data_sets import data_set_facts
from ..losses.ops import tensor_sum
from ..models.class_map import ClassMap, map_classes

LABEL_TRANSFORMS = ('LoadBlankAnnotations', 'LoadPanopticSemAnnotations')  # besides those of LoadAnnotations' kind


class Labeler:
    """Class probabilities of single images, predicted as in a test: with sliding windows, resizing and so on.

    Args:
        config: Config of a segmentor, or of a distiller whose student is used: a path, ``mmseg::...``, or a config
            object. Its ``test_dataloader`` defines how images are loaded and which classes there are.
        checkpoint: Path or address of the weights; ``'auto'`` for the weights that the library's metafile names; None
            for a segmentor that loads its own weights, such as :class:`~mmseg_kd.models.HFSegmentor`.
        tta: Whether to average the predictions over the views of the config's ``tta_pipeline``.
        class_map: Classes of the network for each class of the labels, if they differ; see
            :class:`~mmseg_kd.models.ClassMap`. The probabilities of classes that it leaves out are lost, so that a
            threshold ignores their pixels.

    Attributes:
        classes: Class names in the order of the labels.
        palette: Red, green and blue in 0..255 of every class.
        foreground_threshold: Probability above which a network with one output channel predicts class 1; None for
            other networks, which predict the most probable class.

    Raises:
        FileNotFoundError: If the config does not exist.
        ValueError: If the checkpoint is missing, unsafe or belongs to another network, if the config names no classes,
            or if ``tta`` is set and the config has no ``tta_pipeline``.

    Example:
        >>> labeler = Labeler('mmseg::segformer/...py', 'segformer.pth')  # doctest: +SKIP
        >>> labeler('street.png').shape  # doctest: +SKIP
        torch.Size([19, 1024, 2048])
    """

    def __init__(
        self, config: str | Config, checkpoint: str | None, tta: bool = False, class_map: dict | None = None
    ) -> None:
        self.config_name, self.checkpoint, self.tta = getattr(config, 'filename', config), checkpoint, tta
        config = read_config(config) if isinstance(config, str) else with_names(config)
        init_default_scope(config.get('default_scope') or 'mmseg')
        model = build(MODELS, segmentor_config(config), segmentor_key(config))
        try:
            if checkpoint is not None:
                load_weights(model, published_weights(str(self.config_name)) if checkpoint == 'auto' else checkpoint)
            elif not getattr(model, 'comes_with_weights', False):
                raise ValueError(f'{type(model).__name__} needs a checkpoint; pass its path')
        except ValueError as error:
            raise CheckpointError(f"the labeler's checkpoint: {error}") from None
        facts, transforms = data_set_facts(config.test_dataloader.dataset, 'test_dataloader.dataset')
        if tta:
            if 'tta_pipeline' not in config:
                raise ValueError(f'{self.config_name} must have a tta_pipeline for test-time augmentation')
            transforms = Compose(copy.deepcopy(config.tta_pipeline)).transforms
        if not torch.cuda.is_available():
            model = revert_sync_batchnorm(model)
        self._model = model.to('cuda' if torch.cuda.is_available() else 'cpu').eval()
        self._pipeline = Compose(_without_labels(transforms))
        self.classes: list[str] = list(facts.get('classes') or ())
        self.palette: list[list[int]] | None = facts.get('palette')
        outputs = count_classes(model)
        if not self.classes:
            raise ValueError(f'{self.config_name}: test_dataloader.dataset must name its classes')
        if outputs != len(self.classes):
            raise ValueError(
                f'{self.config_name}: the network predicts {outputs} classes, but the data set '
                f'{config.test_dataloader.dataset.type} has {len(self.classes)}; take the config of the data '
                'that it was trained on'
            )
        if class_map is not None:
            mapped = ClassMap(class_map, self.classes)
            map_classes(model, mapped)
            self.classes, self.palette = mapped.names, None
        self.foreground_threshold = prediction_threshold(model)

    @torch.no_grad()
    def __call__(self, path: str) -> Tensor:
        """Probabilities (C, H, W) of an image at its original size, as float32 on the CPU.

        Args:
            path: Path of the image.

        Raises:
            ValueError: If the image cannot be read; the message names it.
            RuntimeError: If a transform or the network fails on the image; the message names it.
        """
        results: dict[str, Any] = dict(img_path=path, reduce_zero_label=False, seg_fields=[])
        try:
            item = self._pipeline(results)
            views = [item] if not self.tta else [dict(zip(item, view)) for view in zip(*item.values())]
            return tensor_sum(map(self._probabilities, views)).cpu() / len(views)
        except Exception as error:
            reason = ' '.join(str(error).split()) or type(error).__name__
            if 'img' not in results:
                raise ValueError(f"{path} can't be read as an image ({reason}); repair or remove it") from error
            height, width = results['img'].shape[:2]
            raise RuntimeError(
                f'{path}: the network or the test pipeline failed on this image, which had {height}x{width} pixels '
                f'at that point ({type(error).__name__}: {reason}); remove the image, or test with sliding windows '
                "(test_cfg=dict(mode='slide', ...)) if memory ran out"
            ) from error

    def _probabilities(self, view: dict) -> Tensor:
        return prediction_shares(self._model, self._model.test_step(pseudo_collate([view]))[0].seg_logits.data)


def _without_labels(transforms: Sequence[Callable]) -> list[Callable]:
    """The transforms without those that load labels, also within ``TestTimeAug``."""
    kept = [
        each
        for each in transforms
        if not isinstance(each, LoadAnnotations) and type(each).__name__ not in LABEL_TRANSFORMS
    ]
    for transform in kept:
        if hasattr(transform, 'subroutines'):
            transform.subroutines = [Compose(_without_labels(views.transforms)) for views in transform.subroutines]
    return kept
