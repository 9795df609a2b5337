"""A segmentor that labels single images."""

import copy
from collections.abc import Callable, Sequence

import torch
from mmcv.transforms import LoadAnnotations
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from torch import Tensor

from ..distillers.class_logits import count_classes, prediction_shares, prediction_threshold
from ..io.checkpoint import CheckpointError, load_weights
from ..io.configs import published_weights, read_config, segmentor_config, with_names
from ..io.data_sets import data_set_facts

LABEL_TRANSFORMS = ('LoadBlankAnnotations', 'LoadPanopticSemAnnotations')  # besides those of LoadAnnotations' kind


class Labeler:
    """Class probabilities of single images by a segmentor, as it is tested: sliding windows, resizing and all.

    Args:
        config: of a segmentor, as a path, ``mmseg::...``, or read; of a distiller, the student is taken. Its
            ``test_dataloader`` says how images are loaded, and its data set what the classes are.
        checkpoint: path or address of the weights; ``'auto'`` for those that the library's metafile names; None for a
            segmentor that comes with them, as :class:`~mmseg_kd.models.HFUniversalSegmentor` does.
        tta: the mean over the views of the config's ``tta_pipeline``.

    Attributes:
        classes: names, in the order of the labels.
        palette: red, green and blue in 0..255 of every class.
        foreground_threshold: above which probability of class 1 a network of one channel predicts it; None for other
            networks, which predict the most probable class.

    Raises:
        FileNotFoundError: if there is no such config.
        ValueError: if the checkpoint is missing, unsafe or of another network; or if the config names no classes, or
            has no test-time augmentation and it is asked for.
    """

    def __init__(self, config: str | Config, checkpoint: str | None, tta: bool = False) -> None:
        self.config_name, self.checkpoint, self.tta = getattr(config, 'filename', config), checkpoint, tta
        config = read_config(config) if isinstance(config, str) else with_names(config)
        init_default_scope(config.get('default_scope') or 'mmseg')
        model = MODELS.build(segmentor_config(config))
        try:
            if checkpoint is not None:
                load_weights(model, published_weights(str(self.config_name)) if checkpoint == 'auto' else checkpoint)
            elif not getattr(model, 'comes_with_weights', False):
                raise ValueError(f'{type(model).__name__} has random weights without one; give its path')
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
        self.foreground_threshold = prediction_threshold(model)
        if not self.classes:
            raise ValueError(f'{self.config_name}: test_dataloader.dataset must name its classes')
        if outputs != len(self.classes):
            raise ValueError(
                f'{self.config_name}: the network tells {outputs} classes apart, but the data set '
                f'{config.test_dataloader.dataset.type} has {len(self.classes)}; take the config of the data '
                'that it was trained on'
            )

    @torch.no_grad()
    def __call__(self, path: str) -> Tensor:
        """Probabilities (C, H, W), float32, on the CPU, of an image at its size on the disk.

        Args:
            path: of the image.

        Raises:
            ValueError: naming the image, if it cannot be read.
            RuntimeError: naming the image, if a transform or the network fails on it.
        """
        results = dict(img_path=path, reduce_zero_label=False, seg_fields=[])
        try:
            item = self._pipeline(results)
            views = [item] if not self.tta else [dict(zip(item, view)) for view in zip(*item.values())]
            return sum(map(self._probabilities, views)).cpu() / len(views)
        except Exception as error:
            reason = ' '.join(str(error).split()) or type(error).__name__
            if 'img' not in results:
                raise ValueError(f"{path} can't be read as an image ({reason}); mend it, or take it away") from error
            height, width = results['img'].shape[:2]
            raise RuntimeError(
                f'{path}: the network, or the test pipeline, fails on this image, {height}x{width} pixels '
                f'when it failed ({type(error).__name__}: {reason}); take it away, or test by windows '
                "(test_cfg=dict(mode='slide', ...)) if memory is short"
            ) from error

    def _probabilities(self, view: dict) -> Tensor:
        return prediction_shares(self._model, self._model.test_step(pseudo_collate([view]))[0].seg_logits.data)


def _without_labels(transforms: Sequence[Callable]) -> list[Callable]:
    """The transforms, those of ``TestTimeAug`` too, without those that load labels."""
    kept = [
        each
        for each in transforms
        if not isinstance(each, LoadAnnotations) and type(each).__name__ not in LABEL_TRANSFORMS
    ]
    for transform in kept:
        if hasattr(transform, 'subroutines'):
            transform.subroutines = [Compose(_without_labels(views.transforms)) for views in transform.subroutines]
    return kept
