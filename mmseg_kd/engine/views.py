"""Training data as views in every config, so that a resumed run has the same order and augmentations."""

from typing import Any

from mmengine.dataset import DefaultSampler, InfiniteSampler
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner
from mmseg.registry import DATA_SAMPLERS, DATASETS, LOOPS
from torch.utils.data import IterableDataset

from ..datasets import InfiniteViewSampler, SemiSupervisedDataset, StreamSampler, ViewDataset, ViewSampler
from ..datasets.original_pixels import with_original_pixels
from ..distillers import CachedTeacher
from ..distillers.teacher import scale_of_originals
from .checks.training_loop import registered_class
from .teacher_cache import VIEW_SEED, cached_teachers

# The samplers that replace MMEngine's, for any data set and for a SemiSupervisedDataset.
IN_PLACE_OF = {InfiniteSampler: (InfiniteViewSampler, StreamSampler), DefaultSampler: (ViewSampler, ViewSampler)}
KNOWN = {'type', 'shuffle', 'seed'}  # arguments of a sampler


def as_views(loader: dict, views: int | None = None, view_seed: int | None = None) -> dict:
    """The config of a training data loader with a :class:`~mmseg_kd.datasets.ViewDataset` and its sampler.

    A loader with a batch sampler, with ``num_batch_per_epoch``, or with another sampler than MMEngine's
    ``DefaultSampler`` and ``InfiniteSampler`` or those of this package is not changed. A
    :class:`~mmseg_kd.datasets.SemiSupervisedDataset` is not wrapped because its items are views already; only its
    sampler is replaced.

    Args:
        loader: Config of the data loader.
        views: Number of views of each image, unless the config of a ``ViewDataset`` or a ``SemiSupervisedDataset`` sets
            it; None for endless views.
        view_seed: Seed of the augmentations, unless that config sets it; None for that of the run.

    Example:
        >>> loader = as_views(dict(dataset=dict(type='CamVidDataset'), sampler=dict(type='InfiniteSampler')))
        >>> loader['dataset']['type'].__name__, loader['sampler']['type'].__name__
        ('ViewDataset', 'InfiniteViewSampler')
    """
    sampler: Any = loader.get('sampler')
    if isinstance(sampler, dict):  # MMEngine adds the scope to configs that are inherited by package::path
        sampler = {key: value for key, value in sampler.items() if key != '_scope_'}
    dataset: Any = loader.get('dataset')
    kind = registered_class(DATA_SAMPLERS, sampler.get('type')) if isinstance(sampler, dict) else None
    data_kind = registered_class(DATASETS, dataset.get('type')) if isinstance(dataset, dict) else type(dataset)
    data_kind = data_kind or object  # of a registry that only its scope names
    if (
        kind is None
        or kind not in IN_PLACE_OF
        and not issubclass(kind, ViewSampler)
        or dataset is None
        or issubclass(data_kind, IterableDataset)
        or loader.get('batch_sampler') is not None
        or loader.get('num_batch_per_epoch') is not None
        or sampler.keys() - KNOWN
    ):
        return loader
    paired = issubclass(data_kind, SemiSupervisedDataset)
    if kind in IN_PLACE_OF:
        kind = IN_PLACE_OF[kind][paired]
        dropped = 'shuffle' if kind is StreamSampler else ''
        sampler = dict({key: value for key, value in sampler.items() if key != dropped}, type=kind)
    if not (paired or issubclass(data_kind, ViewDataset)):
        dataset = dict(type=ViewDataset, dataset=dataset)
    if isinstance(dataset, dict) and views is not None:
        dataset = dict(dict(views=views, view_seed=view_seed), **dataset)
    return dict(loader, dataset=dataset, sampler=sampler)


def show_originals(loader: dict, teachers: dict[str, Any]) -> dict:
    """The config of a training data loader whose items have the pixels that teachers with ``pixels='original'`` need.

    Args:
        loader: Config of the data loader.
        teachers: Teachers of a distiller by name; a loader for others is not changed.
    """
    scale = scale_of_originals(teachers)
    if scale is None:
        return loader
    return dict(loader, dataset=dict(type=with_original_pixels, dataset=loader['dataset'], scale=scale))


def teachers_of(model: Any) -> dict[str, Any]:
    """The teachers of a Runner's model by name; empty if it is no distiller.

    Args:
        model: Model, also within a wrapper for several processes or test-time augmentation.
    """
    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = model.get_submodule('module')
    return getattr(model, 'teachers', {})


def numbers_of(teacher: CachedTeacher) -> dict[str, int]:
    """The arguments of :func:`as_views` for the views of a cache; empty if there is no complete cache.

    Args:
        teacher: Teacher with the cache.
    """
    try:
        index = teacher.store.index
    except FileNotFoundError:  # a test needs no teacher, and a training is refused before its first step
        return {}
    return dict(views=index['views'], view_seed=index['fingerprint'][VIEW_SEED])


def train_on_views(runner: Runner) -> None:
    """Make a Runner train on views, before its data loader is built.

    Only MMEngine's loops are changed. An :class:`~mmseg_kd.engine.MCKDLoop` passes its config to Runners of its own.

    Args:
        runner: Runner whose training loop is not built yet.
    """
    loop, loader = runner._train_loop, runner._train_dataloader
    if isinstance(loop, dict) and isinstance(loader, dict):
        kind = registered_class(LOOPS, loop.get('type'))
        if kind is None or issubclass(kind, (EpochBasedTrainLoop, IterBasedTrainLoop)):
            caches = cached_teachers(runner.model)
            loader = as_views(loader, **numbers_of(caches[0])) if caches else as_views(loader)
            runner._train_dataloader = show_originals(loader, teachers_of(runner.model))
