"""The training loop of a config, before it is built."""

from typing import Any, NamedTuple

from mmengine.config import Config
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop
from mmseg.registry import LOOPS

from ...distillers.inference import image_size
from ...io.configs import segmentor_config


class Loop(NamedTuple):
    """A training loop of MMEngine, before it is built.

    Args:
        key: Key of the loop's config.
        by_epoch: Whether the loop counts epochs instead of iterations.
        total: Number of epochs or iterations.
        config: Config of the loop.
    """

    key: str
    by_epoch: bool
    total: int
    config: dict

    @property
    def length(self) -> str:
        """Key and value of its length, for messages."""
        return f'{self.key}.{"max_epochs" if self.by_epoch else "max_iters"} is {self.total}'


def training_loop(config: Config) -> Loop | None:
    """The loop of a training, or of each training of an :class:`~mmseg_kd.engine.MCKDLoop`; None for unknown loops.

    Args:
        config: Config of the run.
    """
    key, loop = 'train_cfg', config.get('train_cfg') or {}
    if 'teacher' in loop and 'train' in loop:
        key, loop = 'train_cfg.train', loop['train']
    kind = registered_class(LOOPS, loop.get('type'))
    by_epoch = bool(loop.get('by_epoch')) if kind is None else issubclass(kind, EpochBasedTrainLoop)
    if kind is not None and not issubclass(kind, (EpochBasedTrainLoop, IterBasedTrainLoop)):
        return None
    total = loop.get('max_epochs' if by_epoch else 'max_iters')
    return Loop(key, by_epoch, total, loop) if isinstance(total, int) else None


def training_size(config: Config) -> tuple[int, int]:
    """Height and width of training images; 512x512 if the config does not set them.

    Args:
        config: Config of the run.
    """
    return image_size(segmentor_config(config).get('data_preprocessor'))


def registered_class(registry: Any, kind: Any) -> type | None:
    """The class behind a config's ``type``; None if it is not registered."""
    return registry.get(kind) if isinstance(kind, str) else kind if isinstance(kind, type) else None
