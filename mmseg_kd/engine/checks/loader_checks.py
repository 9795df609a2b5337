"""Checks of the batches that a data loader returns."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.dist import get_world_size
from mmengine.model import is_model_wrapper
from mmseg.models.segmentors import BaseSegmentor
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.data import DataLoader

from ...datasets import InfiniteViewSampler
from ...distillers.class_logits import count_classes
from ...distillers.inference import image_channels
from .problems import Problems
from .training_loop import Loop

PROBE = 7  # length of the list that a sampler is tried on


def check_data_classes(loader: DataLoader, model: nn.Module, key: str = 'train_dataloader') -> Problems:
    """Find networks with another number of classes than the data.

    Args:
        loader: Data loader, whose data set may name its classes.
        model: Segmentor or distiller, also within a wrapper.
        key: Key of the loader.
    """
    problems = Problems()
    while is_model_wrapper(model):
        model = model.get_submodule('module')
    student = getattr(model, 'student', model)
    names = (getattr(loader.dataset, 'metainfo', None) or {}).get('classes') or ()
    number = count_classes(student)
    where = 'model.student' if student is not model else 'model'
    if not names or not number or number == len(names) or (len(names) == 1 and number == 2):
        return problems
    text = f'{where}.decode_head.num_classes is {number}, but {key}.dataset has {len(names)} classes'
    if number < len(names):
        problems.refuse(f'{text}; set num_classes={len(names)} in all heads')
    else:
        problems.warn(f'{text}: the other outputs learn nothing; set num_classes={len(names)} in all heads')
    return problems


def check_loader(loader: DataLoader, model: nn.Module, size: Sequence[int], loop: Loop | None) -> Problems:
    """Find data loaders without a batch, and batches of one image that BatchNorm cannot process.

    Args:
        loader: Data loader of the training in this process.
        model: Model to train.
        size: Height and width of a training image.
        loop: Loop of the training; None if it is unknown.
    """
    problems = Problems()
    sampler = getattr(loader, 'sampler', None)
    batch = getattr(loader, 'batch_size', None)
    if batch is None or sampler is None:
        return problems
    number, endless = len(sampler), is_endless(type(sampler))
    dropped = loader.drop_last and not endless
    if dropped and number < batch:
        problems.refuse(
            f'a process has {number} images, fewer than train_dataloader.batch_size ({batch}), and '
            'train_dataloader.drop_last drops them all; lower batch_size, or set drop_last=False'
        )
        return problems
    last = batch if endless or dropped else number % batch or batch
    if loop is not None and not loop.by_epoch and loop.total * batch <= number:
        last = batch  # training ends before the last batch of the first epoch
    if min(last, batch) == 1:
        norm = norm_of_single_values(model, size)
        if norm is not None:
            problems.refuse(
                f'{norm} has one value per image and channel, so a batch must have at least 2 images, but '
                + (
                    'train_dataloader.batch_size is 1; set 2 or more'
                    if batch == 1
                    else f'the last batch of {number} images has 1; set train_dataloader.drop_last=True, or another '
                    f'batch_size than {batch}'
                )
            )
    return problems


@torch.no_grad()
def norm_of_single_values(model: nn.Module, size: Sequence[int]) -> str | None:
    """The first BatchNorm whose input has one value per image and channel, as after global pooling.

    Args:
        model: Segmentor or distiller; afterwards in training mode.
        size: Height and width of a training image.

    Returns:
        str: the name of the module; None if there is none, or if the forward pass fails.
    """
    model = model.get_submodule('module') if is_model_wrapper(model) else model
    network: BaseSegmentor = getattr(model, 'student', model)
    network.train()
    trained = {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, _BatchNorm)
        and module.training
        and not (isinstance(module, nn.SyncBatchNorm) and get_world_size() > 1)
    }
    found: list[str] = []
    with _watched(trained, found):
        # Evaluation mode does not change the statistics.
        network.eval()
        parameter = next(network.parameters())
        try:
            images = torch.zeros(1, image_channels(network), *size, device=parameter.device, dtype=parameter.dtype)
            features = network.extract_feat(images)
        except Exception:  # an unusual network: its first training step will show the error
            return None
        finally:
            network.train()
        for key in ('decode_head', 'auxiliary_head'):
            heads = getattr(network, key, None)
            for head in heads if isinstance(heads, nn.ModuleList) else [heads] if heads is not None else []:
                head.eval()
                try:
                    head.forward(features)
                except Exception:  # later heads of a cascade need the output of earlier ones
                    continue
                finally:
                    head.train()
    return found[0] if found else None


@contextmanager
def _watched(modules: Mapping[str, nn.Module], found: list[str]) -> Iterator[None]:
    """Collect the names of modules whose input has one value per image and channel."""

    def watch(name: str) -> Any:
        return lambda module, inputs: found.append(name) if inputs[0][0, 0].numel() == 1 else None

    handles = [module.register_forward_pre_hook(watch(name)) for name, module in modules.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def is_endless(kind: Any) -> bool:
    """Whether a sampler yields more items than its length, tried on a short list."""
    if issubclass(kind, InfiniteViewSampler):
        return True
    try:
        sampler = kind(list(range(PROBE)), seed=0)
        return sum(1 for _ in itertools.islice(iter(sampler), len(sampler) + 1)) > len(sampler)
    except Exception:  # a sampler that needs more than a list
        return any('Infinite' in parent.__name__ for parent in kind.__mro__)
