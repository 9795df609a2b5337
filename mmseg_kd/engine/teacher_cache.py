"""Stored teacher outputs: making a cache of a config, and refusing a cache that does not fit a training."""

import copy
import hashlib
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.dist import barrier, get_dist_info, is_main_process
from mmengine.model import is_model_wrapper
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS, MODELS
from torch import Tensor, nn
from torch.utils.data import DataLoader

from ..cache import CacheWriter, Shard, cache_cost, encoding, free_bytes
from ..datasets import SemiSupervisedDataset, ViewDataset
from ..datasets.image_list import listed_images
from ..distillers import CachedTeacher, Distiller, LabelingDistiller, SemiSupervisedDistiller
from ..distillers.cached_teacher import library_versions, plain_facts, teacher_facts
from ..distillers.semi_supervised_distiller import UNMIXED
from ..distillers.taps import LOGITS
from ..distillers.teacher import has_cache, live_teachers
from ..io.configs import preprocessors
from ..io.errors import ConfigError
from ..io.progress import ProgressLine, duration
from ..io.stop_signals import PatientWorker
from .checks.precision_checks import check_teacher_precision
from .checks.term_checks import terms_by_key
from .checks.training_loop import registered_class

DATASET = 'train_dataloader.dataset'
VIEW_SEED = f'{DATASET}.view_seed'
# The data list has the files. Places differ between machines.
NOT_COMPARED = ('data_root', 'data_prefix', 'folder', 'ann_file', 'metainfo', 'lazy_init', 'serialize_data')
MEASURED = 8  # images of which time and size are measured


def cached_teachers(model: nn.Module) -> list[CachedTeacher]:
    """The teachers of a model that have a cache.

    Args:
        model: Model of a Runner, also within a wrapper for several processes.
    """
    model = _unwrapped(model)
    teachers = model.teachers.values() if isinstance(model, Distiller) else ()
    return [teacher for teacher in teachers if isinstance(teacher, CachedTeacher)]


def check_caches(model: nn.Module, dataset: Any) -> None:
    """Refuse a training whose caches hold something else than its teachers would answer.

    Args:
        model: Model of a Runner, also within a wrapper for several processes.
        dataset: Training data, as they are built.

    Raises:
        ConfigError: If they do not fit; the message names a key that differs, with both values.
        FileNotFoundError: If there is no complete cache.
    """
    teachers = cached_teachers(model)
    if not teachers:
        return
    dataset = _views(dataset)
    facts = data_facts(_unwrapped(model).get_submodule('data_preprocessor'), dataset, teachers[0].key)
    for teacher in teachers:
        teacher.check_settings(facts)
        views = teacher.store.views
        if dataset.views is None or dataset.views > views:
            raise ConfigError(
                f'{teacher.cache_key} holds {views} views of each image, but {DATASET}.views is {dataset.views}; '
                f'set it to at most {views}'
            )


def data_facts(preprocessor: nn.Module, dataset: Any, key: str = 'the teacher') -> dict[str, Any]:
    """The settings and files on which the images of a training depend, by dotted key.

    Args:
        preprocessor: The student's data preprocessor.
        dataset: Numbered views of the training data.
        key: Key of the teacher, for messages.

    Raises:
        ConfigError: If the images of a batch have no numbers, or are changed after the pipeline.
    """
    if not isinstance(dataset, ViewDataset):
        raise ConfigError(
            f'{key}.cache needs images with numbers, as a ViewDataset gives them, but {DATASET} is a '
            f'{type(dataset).__name__}; train_dataloader needs the sampler InfiniteSampler or DefaultSampler, without '
            'batch_sampler and num_batch_per_epoch'
        )
    if getattr(preprocessor, 'batch_augments', None):
        raise ConfigError(
            f'{key}.cache holds the images that the pipeline gives, but data_preprocessor.batch_augments changes them '
            'later; remove batch_augments, or remove cache'
        )
    config = None if dataset.config is None else _without(dataset.config, NOT_COMPARED)
    seed = dataset.seed if dataset.view_seed is None else dataset.view_seed
    return {
        **plain_facts(config, DATASET),
        VIEW_SEED: seed,
        'train_dataloader.images': _images(dataset),
        **plain_facts(_preprocessing(preprocessor), 'data_preprocessor'),
        **library_versions(),
    }


class Request(NamedTuple):
    """What a cache shall hold.

    Args:
        folder: Folder of the cache.
        views: Number of views of each image.
        logits: Encoding of logits.
        features: Encoding of everything else.
        shard_bytes: Size of a shard.
        seed: Seed of the augmentations.
        part: Number of this process among several that are not connected, such as the tasks of a SLURM array.
        parts: Number of these processes.
        paths: Paths in the teacher to store, such as those of several configs; those of the config's terms if empty.
    """

    folder: str
    views: int
    logits: str = 'float16'
    features: str = 'float16'
    shard_bytes: int = 64 * 2**20
    seed: int = 0
    part: int = 0
    parts: int = 1
    paths: tuple[str, ...] = ()


def make_cache(
    config: Config, request: Request, tell: Callable[[str], None], report: Callable[[int, int], None] | None = None
) -> int:
    """Store what the terms of a config read in its teachers, for numbered views of the training images.

    Args:
        config: Config of a distillation.
        request: What to store.
        tell: Function that is called with lines for the user, in the first process.
        report: Function that is called with the number of images done, and to do, by this process.

    Returns:
        int: Number of shards that other processes still have to make; 0 if the cache is complete.

    Raises:
        ConfigError: If the config has no teacher or no views, the disk is too small, or the folder holds another cache.
    """
    init_default_scope(config.get('default_scope') or 'mmseg')
    model = _distiller(config)
    dataset = _training_views(config, request, model)
    paths = list(request.paths) or model.stored_paths
    batches = _Batches(model, dataset, config)
    facts = {
        **data_facts(model.data_preprocessor, dataset, 'model.teacher'),
        **teacher_facts(live_teachers(config.model.teacher), 'model.teacher'),
    }
    sample = batches.load(range(min(MEASURED, len(dataset))))
    batches.read(sample, paths)  # builds the teacher, which the measurement must not count
    begin = time.monotonic()
    values = batches.read(batches.load(range(min(MEASURED, len(dataset)))), paths)
    seconds = (time.monotonic() - begin) / len(sample['inputs'])
    stored, constants = _layout(model, values, len(sample['inputs']), request)
    size = sum(encoding(one['encoding'], one['shape']).bytes for one in stored.values())
    per_shard = max(1, min(len(dataset), request.shard_bytes // max(size, 1)))
    writer = CacheWriter(
        request.folder,
        dict(
            images=len(dataset),
            size=list(batches.size(sample)),
            per_shard=per_shard,
            paths=stored,
            constants={path: list(value.shape) for path, value in constants.items()},
            known={path: known for path in stored if (known := _known(model, path)) is not None},
            fingerprint=facts,
        ),
    )
    missing = writer.missing(request.views)
    rank, world = get_dist_info()
    share, shares = request.part * world + rank, request.parts * world
    if rank == 0:
        writer.write_constants(constants)
        left = sum(len(shard.images) for shard in missing)
        for line in _estimate(request, len(dataset), size, left, seconds, shares, stored):
            tell(line)
        for warning in check_teacher_precision(config).warnings if left else ():
            tell(warning)
        if left * size > free_bytes(request.folder):
            raise ConfigError(
                f'{request.folder} needs {_gigabytes(left * size)}, but its disk has '
                f'{_gigabytes(free_bytes(request.folder))} left; lower --views, choose a folder on another disk, or '
                'store less with --logits top4 or --features int8 of tools/cache_teacher.py'
            )
        if request.views > 1 and _are_equal(dataset, request.views):
            tell(
                'views 0 and 1 of the first images are equal, so the pipeline of train_dataloader.dataset has no '
                'random transform; --views 1 stores all there is'
            )
    barrier()
    # By their place among all shards: processes that are not connected may see different shards missing.
    own = [
        shard for place, shard in enumerate(writer.all(request.views)) if place % shares == share and shard in missing
    ]
    _write_shards(writer, batches, own, paths, list(stored), report)
    barrier()
    return writer.merge(request.views)


def cache_obstacle(config: Config) -> str:
    """The reason why a config with a teacher cannot read stored outputs of it instead, or ''.

    Args:
        config: Config of a training.

    Example:
        >>> cache_obstacle(Config(dict(model=dict(type='EncoderDecoder'))))
        'no teacher'
    """
    from .views import as_views  # which imports this module

    model = config.get('model') or {}
    kind = registered_class(MODELS, model.get('type'))
    teacher = model.get('teacher')
    if kind is None or not issubclass(kind, Distiller) or not teacher:
        return 'no teacher'
    if issubclass(kind, SemiSupervisedDistiller) and not stored_paths(config):
        return 'terms that read the teacher on mixtures of images alone'
    if has_cache(teacher):
        return 'a cache of its own'
    dataset = as_views(dict(config.get('train_dataloader') or {})).get('dataset')
    kind = registered_class(DATASETS, dataset.get('type')) if isinstance(dataset, dict) else None
    if kind is None or not issubclass(kind, (ViewDataset, SemiSupervisedDataset)):
        return 'a sampler whose images have no numbers'
    if any(preprocessor.get('batch_augments') for preprocessor in preprocessors(config)):
        return 'data_preprocessor.batch_augments'
    return ''


def stored_paths(config: Config) -> list[str]:
    """What the terms of a config, and a model that learns the teacher's classes, read in stored outputs of the teacher.

    Args:
        config: Config of a distillation.

    Example:
        >>> terms = dict(loss_hint=dict(student='backbone[3]', teacher='backbone[2]', loss=dict(type='HintLoss')))
        >>> stored_paths(Config(dict(model=dict(type='Distiller', terms=terms))))
        ['backbone[2]']
    """
    found: list[str] = []
    kind = registered_class(MODELS, config.model.get('type'))
    if kind is not None and issubclass(kind, LabelingDistiller):
        found.append(config.model.get('labels_from', LOGITS))
    return list(dict.fromkeys([*found, *(path for path, mixed in _reads(config) if not mixed)]))


def reads_mixtures(config: Config) -> bool:
    """Whether terms of a config read the teacher on mixtures of images, which cannot be stored.

    Args:
        config: Config of a distillation.

    Example:
        >>> term = dict(student='logits', teacher='unmixed.logits', loss=dict(type='PseudoLabelLoss'))
        >>> reads_mixtures(Config(dict(model=dict(unlabeled_terms=dict(loss_pl=term), mix=dict(type='CutMix')))))
        False
    """
    return any(mixed for _, mixed in _reads(config))


def _reads(config: Config) -> Iterator[tuple[str, bool]]:
    """The paths that terms read in the teacher's network, and whether they read them on mixtures."""
    mixes = config.model.get('mix') is not None
    for key, term in terms_by_key(config):
        for path in [term['teacher']] if isinstance(term['teacher'], str) else term['teacher']:
            yield path.replace(UNMIXED, '', 1), mixes and key.startswith('model.unlabeled') and UNMIXED not in path


def show_cache(config: Config, request: Request) -> int:
    """Make a cache with lines for the user on the standard error stream; arguments and result as :func:`make_cache`."""
    line = ProgressLine('views', 1, sys.stderr)

    def report(done: int, total: int) -> None:
        if is_main_process():
            line.update(done, total)

    missing = make_cache(config, request, lambda text: print(text, file=sys.stderr, flush=True), report)
    if is_main_process():
        cost = cache_cost(request.folder)
        line.close(
            f'this process is done; {missing} shards are still missing: other processes make them'
            if missing
            else f'complete: {cost.bytes / 1e6:.1f} MB, made in {duration(cost.seconds)} of one process'
        )
    return missing


def _views(dataset: Any) -> Any:
    """The numbered views of training data; the data themselves if they have none."""
    return dataset.images if isinstance(dataset, SemiSupervisedDataset) else dataset


def _unwrapped(model: nn.Module) -> nn.Module:
    while is_model_wrapper(model):
        model = model.get_submodule('module')
    return model


class _Batches:
    """Teacher outputs of views, computed exactly as a training step does."""

    def __init__(self, model: Distiller, dataset: ViewDataset, config: Config) -> None:
        self.dataset = dataset
        self._loader = config.train_dataloader
        device = 'cuda' if torch.cuda.is_available() else 'cpu'
        self.model = model.to(device).train()

    def load(self, numbers: Sequence[int]) -> dict[str, Any]:
        return pseudo_collate([self.dataset[n] for n in numbers])

    def iterate(self, batches: list[list[int]]) -> Iterator[dict[str, Any]]:
        workers = self._loader.get('num_workers', 0)
        return iter(
            DataLoader(
                self.dataset,
                batch_sampler=batches,
                num_workers=workers,
                collate_fn=pseudo_collate,
                worker_init_fn=PatientWorker(None) if workers else None,
            )
        )

    @property
    def batch_size(self) -> int:
        return self._loader.get('batch_size', 1)

    def size(self, batch: dict[str, Any]) -> tuple[int, ...]:
        return tuple(self._preprocess(batch)['inputs'].shape[2:])

    def _preprocess(self, batch: dict[str, Any]) -> dict[str, Any]:
        return self.model.data_preprocessor(copy.deepcopy(batch), True)

    @torch.no_grad()
    def read(self, batch: dict[str, Any], paths: list[str]) -> dict[str, Any]:
        data = self._preprocess(batch)
        return self.model._read_teachers(data['inputs'], paths, data['data_samples'])


def _training_views(config: Config, request: Request, model: Distiller) -> ViewDataset:
    from .views import as_views, show_originals  # which import this module

    loader = as_views(copy.deepcopy(config.train_dataloader), request.views, request.seed)
    loader = show_originals(loader, model.teachers)
    dataset = DATASETS.build(loader['dataset']) if isinstance(loader['dataset'], dict) else loader['dataset']
    if hasattr(dataset, 'full_init'):
        dataset.full_init()
    dataset = _views(dataset)
    if isinstance(dataset, ViewDataset):
        dataset.views = request.views
        dataset.view_seed = request.seed if dataset.view_seed is None else dataset.view_seed
    return dataset


def _distiller(config: Config) -> Distiller:
    model = copy.deepcopy(config.get('model') or {})
    if not model.get('teacher'):
        raise ConfigError('model.teacher must name the teacher whose outputs are stored, but the config has none')
    model['teacher'] = live_teachers(model['teacher'])
    if config.get('data_preprocessor') is not None:
        model.setdefault('data_preprocessor', config.data_preprocessor)
    built = MODELS.build(model)
    if not isinstance(built, Distiller) or not built.teachers:
        raise ConfigError(
            f'model.type must be Distiller to store what its terms read, but is {config.model.type}, whose teacher is '
            'stored already'
        )
    if not built.stored_paths:
        raise ConfigError(
            'model.unlabeled_terms must read something that can be stored, but all terms read the teacher on mixtures '
            'of two images, which are new at each step; write "unmixed." before their path in the teacher, as in '
            '"unmixed.logits", to mix stored outputs'
        )
    if built._teacher_missing is not None:
        raise built._teacher_missing
    for member in (member for teacher in built.teachers.values() for member in teacher.members):
        if member.checkpoint is None and not getattr(
            MODELS.get(member.model_config['type']), 'comes_with_weights', False
        ):
            raise ConfigError(
                f'{member.key}.checkpoint must name the weights of the teacher whose outputs are stored, but is None'
            )
    return built


def _layout(
    model: Distiller, values: dict[str, Any], images: int, request: Request
) -> tuple[dict[str, dict[str, Any]], dict[str, Tensor]]:
    """Encoding and shape of what differs between images, by path; and parameters of the teacher."""
    stored: dict[str, dict[str, Any]] = {}
    constants: dict[str, Tensor] = {}
    for path, value in values.items():
        if not isinstance(value, Tensor):
            raise ConfigError(f'"{path}" must be a tensor to be stored, but is a {type(value).__name__}')
        if isinstance(value, nn.Parameter) or len(value) != images:
            constants[path] = value.detach().float()
            continue
        name = request.logits if path.rpartition('.')[2] == LOGITS else request.features
        shape = list(value.shape[1:])
        try:
            encoding(name, shape)
        except ValueError as error:
            raise ConfigError(f'{"--logits" if name == request.logits else "--features"}: {error}') from None
        stored[path] = dict(encoding=name, shape=shape)
    return stored, constants


def _write_shards(
    writer: CacheWriter,
    batches: _Batches,
    shards: list[Shard],
    paths: list[str],
    stored: list[str],
    report: Callable[[int, int], None] | None,
) -> None:
    total, size = len(batches.dataset), batches.batch_size
    # A batch never crosses the border of a shard, so a shard does not depend on the process that makes it.
    plan = [
        [shard.view * total + image for image in shard.images[start : start + size]]
        for shard in shards
        for start in range(0, len(shard.images), size)
    ]
    source = batches.iterate(plan) if plan else iter(())
    done, to_do = 0, sum(len(shard.images) for shard in shards)
    encodings = {path: encoding(**_arguments(writer.settings['paths'][path])) for path in stored}
    for shard in shards:
        begin = time.monotonic()
        maps: dict[str, dict[str, list[Tensor]]] = {path: {} for path in stored}
        pixels: list[int] = []
        while len(pixels) < len(shard.images):
            batch = next(source)
            values = batches.read(batch, paths)
            samples = batch['data_samples']
            for path in stored:
                _check_shape(path, values[path], encodings[path].shape)
                try:
                    parts = encodings[path].encode(values[path])
                except ValueError as error:
                    raise ConfigError(f'"{path}": {error}') from None
                for name, part in parts.items():
                    maps[path].setdefault(name, []).append(part.cpu())
            pixels += [sample.metainfo['pixels'] for sample in samples]
            done += len(samples)
            if report is not None:
                report(done, to_do)
        writer.write(
            shard,
            {path: {name: torch.cat(rows) for name, rows in parts.items()} for path, parts in maps.items()},
            pixels,
            time.monotonic() - begin,
        )


def _arguments(stored: dict[str, Any]) -> dict[str, Any]:
    return dict(name=stored['encoding'], shape=stored['shape'])


def _check_shape(path: str, value: Tensor, shape: Sequence[int]) -> None:
    if tuple(value.shape[1:]) != tuple(shape):
        raise ConfigError(
            f'"{path}" must have one shape for all images, but has {tuple(shape)} and {tuple(value.shape[1:])}; give '
            'training images one size (RandomCrop and data_preprocessor.size)'
        )


def _known(model: Distiller, path: str) -> list[int] | None:
    ((name, (own,)),) = model._split([path]).items()
    return model.teachers[name].known_classes(own)


def _are_equal(dataset: ViewDataset, views: int) -> bool:
    pixels = [
        [dataset.view(image, view)['data_samples'].metainfo['pixels'] for image in range(min(MEASURED, len(dataset)))]
        for view in (0, 1)
    ]
    return pixels[0] == pixels[1]


def _estimate(
    request: Request,
    images: int,
    size: int,
    left: int,
    seconds: float,
    processes: int,
    stored: dict[str, dict[str, Any]],
) -> Iterator[str]:
    yield (
        f'{images} images x {request.views} views: {_gigabytes(images * request.views * size)} in {request.folder}, '
        f'{size / 1000:.0f} kB for each view'
    )
    for path, one in stored.items():
        others = ', '.join(
            f'{name} {_gigabytes(images * request.views * encoding(name, one["shape"]).bytes)}'
            for name in _encodings_of(path, one)
        )
        told = f'; in other encodings: {others}' if others else ''
        yield f'  {path}: {one["encoding"]} {"x".join(map(str, one["shape"]))}{told}'
    yield (
        f'{left} views to make at {seconds:.3g} s each in {processes} process{"es" * (processes > 1)}: about '
        f'{duration(left * seconds / processes)}; {_gigabytes(free_bytes(request.folder))} are free'
    )


def _encodings_of(path: str, one: dict[str, Any]) -> list[str]:
    if path.rpartition('.')[2] != LOGITS:
        names = ['float16', 'int8']
    else:
        names = ['float16', *(['top4'] if one['shape'][0] > 4 else [])]
    return [name for name in names if name != one['encoding']]


def _gigabytes(size: float) -> str:
    return f'{size / 1e9:.3g} GB' if size >= 1e8 else f'{size / 1e6:.3g} MB'


def _preprocessing(preprocessor: nn.Module) -> dict[str, Any]:
    statistics = {name: value.flatten().tolist() for name, value in preprocessor.named_buffers()}
    names = ('size', 'size_divisor', 'pad_val', 'pad_size_divisor', 'pad_value')
    return dict(
        type=type(preprocessor).__name__.replace('BranchPreprocessor', 'SegDataPreProcessor'),
        channel_conversion=bool(
            getattr(preprocessor, '_channel_conversion', getattr(preprocessor, 'channel_conversion', False))
        ),
        **statistics,
        **{name: value for name in names if (value := getattr(preprocessor, name, None)) is not None},
    )


def _images(dataset: Any) -> str:
    """Number and names of the images; names are relative to the folder of all images of one data set."""
    paths: dict[int, list[str]] = {}  # of each data set
    for leaf, index in listed_images(dataset):
        path = leaf.get_data_info(index).get('img_path') if hasattr(leaf, 'get_data_info') else None
        if path:
            paths.setdefault(id(leaf), []).append(os.path.abspath(path))
    if not paths:
        return f'{len(dataset)} images'
    names = '\n'.join(name for own in paths.values() for name in _relative(own))
    return f'{len(dataset)} images, names with SHA-256 {hashlib.sha256(names.encode()).hexdigest()[:16]}'


def _relative(paths: list[str]) -> list[str]:
    folder = os.path.commonpath([os.path.dirname(path) for path in paths])
    return [Path(os.path.relpath(path, folder)).as_posix() for path in paths]


def _without(node: Any, keys: Sequence[str]) -> Any:
    if isinstance(node, dict):
        return {key: _without(value, keys) for key, value in node.items() if key not in keys}
    return [_without(value, keys) for value in node] if isinstance(node, (list, tuple)) else node
