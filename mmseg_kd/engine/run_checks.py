"""Checks of a config before training: keys that are right one by one and wrong together."""

import itertools
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from mmengine.dist import get_world_size
from mmengine.hooks import CheckpointHook, EarlyStoppingHook
from mmengine.model import is_model_wrapper
from mmengine.optim.scheduler.param_scheduler import ReduceOnPlateauParamScheduler
from mmengine.registry import init_default_scope
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop
from mmseg.models import SegDataPreProcessor
from mmseg.registry import DATA_SAMPLERS, HOOKS, LOOPS, MODELS, PARAM_SCHEDULERS
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.data import DataLoader

from ..datasets import StreamSampler
from ..distillers.inference import image_channels, image_size
from ..io.configs import segmentor_config
from .metric_names import MetricNames, metric_names

WASTE = 0.1  # share of training at a learning rate of 0 that is not meant
PROBE = 7  # images of the data set that a sampler is tried on


@dataclass
class Problems:
    """What was found, a line each, which names the key.

    Args:
        refusals: what would ruin the run.
        warnings: what may not be meant.
    """

    refusals: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def refuse(self, text: str) -> None:
        """Add a refusal."""
        self.refusals.append(text)

    def warn(self, text: str) -> None:
        """Add a warning."""
        self.warnings.append(text)

    def add(self, others: 'Problems') -> None:
        """Add what another check found."""
        self.refusals += others.refusals
        self.warnings += others.warnings


class Loop(NamedTuple):
    """A training loop of MMEngine, before it is built.

    Args:
        key: of its config.
        by_epoch: whether it counts epochs.
        total: epochs or iterations.
        config: its own.
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
    """The loop of a training; of :class:`~mmseg_kd.engine.MCKDLoop`, that of each of its trainings; None of any other.

    Args:
        config: of the run.
    """
    key, loop = 'train_cfg', config.get('train_cfg') or {}
    if 'teacher' in loop and 'train' in loop:
        key, loop = 'train_cfg.train', loop['train']
    kind = _class(LOOPS, loop.get('type'))
    by_epoch = bool(loop.get('by_epoch')) if kind is None else issubclass(kind, EpochBasedTrainLoop)
    if kind is not None and not issubclass(kind, (EpochBasedTrainLoop, IterBasedTrainLoop)):
        return None
    total = loop.get('max_epochs' if by_epoch else 'max_iters')
    return Loop(key, by_epoch, total, loop) if isinstance(total, int) else None


def check_config(config: Config) -> Problems:
    """Look at the config alone: samplers, validation, the names of metrics, checkpoints, logs and learning rates.

    Args:
        config: of a training, distilled or not.
    """
    init_default_scope(config.get('default_scope') or 'mmseg')
    problems, loop = Problems(), training_loop(config)
    _check_samplers(problems, config, loop)
    _check_padding(problems, config)
    validated = _check_validation(problems, config, loop)
    problems.add(check_metrics(config, metric_names(config) if validated else None))
    if loop is not None:
        _check_checkpoints(problems, config, loop)
        problems.add(check_schedules(config.get('param_scheduler'), loop))
    return problems


def _check_padding(problems: Problems, config: Config) -> None:
    """Whether MMSegmentation's preprocessor can make batches of training images."""
    if config.get('model') is None:
        return
    preprocessor = segmentor_config(config).get('data_preprocessor') or {}
    kind = _class(MODELS, preprocessor.get('type'))
    if kind is None or not issubclass(kind, SegDataPreProcessor):
        return
    given = [key for key in ('size', 'size_divisor') if preprocessor.get(key) is not None]
    if len(given) != 1:
        problems.refuse(
            f'data_preprocessor must have either size or size_divisor to train, but has '
            f'{"both" if given else "neither"}; set size to that of the crops'
            + (', or one of them to None' if given else ', or size_divisor=1 for images of one size')
        )


def check_schedules(schedulers: Any, loop: Loop, start: int = 0) -> Problems:
    """Whether schedules move as training does, and end where it ends.

    Args:
        schedulers: ``param_scheduler`` of a config.
        loop: of the training.
        start: epochs or iterations that are done.
    """
    problems = Problems()
    for key, policy in policies(schedulers):
        kind = _class(PARAM_SCHEDULERS, policy.get('type'))
        if kind is None or issubclass(kind, ReduceOnPlateauParamScheduler) or kind.__name__.endswith('Momentum'):
            continue
        by_epoch = policy.get('by_epoch', True)
        if by_epoch and not loop.by_epoch and not policy.get('convert_to_iter_based'):
            problems.refuse(
                f'{key}.by_epoch is True (the default), but training counts iterations and is one epoch, so '
                'the schedule would never move; set by_epoch=False'
            )
        elif by_epoch == loop.by_epoch:
            _check_schedule(problems, key, kind.__name__, policy, loop, start)
    return problems


def check_metrics(config: Config, names: MetricNames | None) -> Problems:
    """Whether hooks and schedules name metrics that validation gives.

    Args:
        config: of a training.
        names: of the metrics; None if nothing is validated.
    """
    problems = Problems()
    for key, hook in _hooks(config):
        kind = _class(HOOKS, hook.get('type'))
        if hook.get('save_best') is not None and (kind is None or issubclass(kind, CheckpointHook)):
            _check_best(problems, f'{key}.save_best', hook, names)
        elif 'monitor' in hook and kind is not None and issubclass(kind, EarlyStoppingHook):
            _check_name(problems, f'{key}.monitor', hook['monitor'], names)
    for key, policy in policies(config.get('param_scheduler')):
        kind = _class(PARAM_SCHEDULERS, policy.get('type'))
        if kind is not None and issubclass(kind, ReduceOnPlateauParamScheduler):
            _check_name(problems, f'{key}.monitor', policy.get('monitor', 'loss'), names)
            if not policy.get('by_epoch', True):
                problems.refuse(f'{key}.by_epoch is False, with which MMEngine never lowers the rate; set it to True')
    return problems


def check_loader(loader: DataLoader, model: nn.Module, size: Sequence[int], loop: Loop | None) -> Problems:
    """Look at the batches that a training will get: none at all, or one of a single image, on which BatchNorm ends.

    Args:
        loader: of the training, of this process.
        model: that is trained.
        size: height and width of an image to try the network with.
        loop: of the training; None if it is not known.
    """
    problems = Problems()
    sampler = getattr(loader, 'sampler', None)
    batch = getattr(loader, 'batch_size', None)
    if batch is None or sampler is None:
        return problems
    number, endless = len(sampler), isinstance(sampler, StreamSampler) or _is_endless(type(sampler))
    dropped = loader.drop_last and not endless
    if dropped and number < batch:
        problems.refuse(
            f'a process has {number} images, fewer than train_dataloader.batch_size ({batch}), and '
            'train_dataloader.drop_last leaves none; lower batch_size, or set drop_last=False'
        )
        return problems
    last = batch if endless or dropped else number % batch or batch
    if loop is not None and not loop.by_epoch and loop.total * batch <= number:
        last = batch  # the last batch of a pass is never reached
    if min(last, batch) == 1:
        norm = norm_of_single_values(model, size)
        if norm is not None:
            problems.refuse(
                f'{norm} normalizes one value per image and channel, and cannot do so for a batch of one image, but '
                + (
                    'train_dataloader.batch_size is 1; set 2 or more'
                    if batch == 1
                    else f'the last of {number} images are such a batch; set train_dataloader.drop_last=True, or '
                    'another '
                    f'batch_size than {batch}'
                )
            )
    return problems


def training_size(config: Config) -> tuple[int, int]:
    """Height and width of the images that a network is trained with; 512x512 where the config does not say.

    Args:
        config: of the run.
    """
    return image_size(segmentor_config(config).get('data_preprocessor'))


@torch.no_grad()
def norm_of_single_values(model: nn.Module, size: Sequence[int]) -> str | None:
    """The first BatchNorm that sees a single value per image and channel in training, as behind global pooling.

    Args:
        model: a segmentor or a distiller; it is left in training mode.
        size: height and width of the image to try.

    Returns:
        str: its name; None if there is none, or the model cannot be tried.
    """
    model = model.module if is_model_wrapper(model) else model
    network = getattr(model, 'student', model)
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
        # In evaluation mode, in which statistics stay as they are.
        network.eval()
        parameter = next(network.parameters())
        try:
            images = torch.zeros(1, image_channels(network), *size, device=parameter.device, dtype=parameter.dtype)
            features = network.extract_feat(images)
        except Exception:  # a network of another kind; the first step will tell
            return None
        finally:
            network.train()
        for key in ('decode_head', 'auxiliary_head'):
            heads = getattr(network, key, None)
            for head in heads if isinstance(heads, nn.ModuleList) else [heads] if heads is not None else []:
                head.eval()
                try:
                    head.forward(features)
                except Exception:  # the later heads of a cascade need more
                    continue
                finally:
                    head.train()
    return found[0] if found else None


@contextmanager
def _watched(modules: dict[str, nn.Module], found: list[str]) -> Iterator[None]:
    """Note which modules are given a single value per image and channel."""

    def watch(name: str) -> Any:
        return lambda module, inputs: found.append(name) if inputs[0][0, 0].numel() == 1 else None

    handles = [module.register_forward_pre_hook(watch(name)) for name, module in modules.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _class(registry: Any, kind: Any) -> type | None:
    """The class that a config's ``type`` stands for; None if it is not known."""
    return registry.get(kind) if isinstance(kind, str) else kind if isinstance(kind, type) else None


def _check_samplers(problems: Problems, config: Config, loop: Loop | None) -> None:
    for key, by_pass in (('train_dataloader', loop is not None and loop.by_epoch), ('val_dataloader', True)):
        loader = config.get(key)
        sampler = loader.get('sampler') if isinstance(loader, dict) else None
        if not isinstance(sampler, dict):
            continue
        kind = _class(DATA_SAMPLERS, sampler.get('type'))
        if by_pass and kind is not None and _is_endless(kind):
            where = f'an epoch ({loop.length})' if key == 'train_dataloader' else 'a validation'
            other = ' or train by iterations (IterBasedTrainLoop)' if key == 'train_dataloader' else ''
            problems.refuse(
                f'{key}.sampler is {kind.__name__}, which never ends, so {where} would never end; set '
                f"{key}.sampler.type='DefaultSampler'{',' if other else ''}{other}"
            )
        if key == 'train_dataloader' and sampler.get('shuffle') is False:
            problems.warn(
                'train_dataloader.sampler.shuffle is False, so every epoch has the images in the same order; set '
                'it to True'
            )


def _is_endless(kind: type) -> bool:
    """Whether a sampler goes on beyond the length that it states, tried on a few numbers."""
    if issubclass(kind, StreamSampler):
        return True
    try:
        sampler = kind(list(range(PROBE)), seed=0)
        return sum(1 for _ in itertools.islice(iter(sampler), len(sampler) + 1)) > len(sampler)
    except Exception:  # one that asks more of its data set
        return any('Infinite' in parent.__name__ for parent in kind.__mro__)


def _check_validation(problems: Problems, config: Config, loop: Loop | None) -> bool:
    """Whether anything is validated."""
    parts = ('val_dataloader', 'val_cfg', 'val_evaluator')
    missing = [part for part in parts if config.get(part) is None]
    if len(missing) == len(parts):
        return False
    if missing:
        problems.refuse(
            f'{", ".join(parts)} must be set together, or all be None, but {" and ".join(missing)} '
            f'{"is" if len(missing) == 1 else "are"} not set'
        )
        return False
    if loop is None:
        return True
    begin = loop.config.get('val_begin', 1)
    if begin > loop.total:
        problems.warn(f'{loop.key}.val_begin is {begin}, but {loop.length}: nothing is ever validated')
        return False
    interval = loop.config.get('val_interval', 1 if loop.by_epoch else 1000)
    if interval > loop.total:
        problems.warn(f'{loop.key}.val_interval is {interval}, but {loop.length}: nothing is validated before the end')
    logger = (config.get('default_hooks') or {}).get('logger') or {}
    if not loop.by_epoch and logger.get('log_metric_by_epoch', True):
        problems.warn(
            'default_hooks.logger.log_metric_by_epoch is True, but training counts iterations: all validations '
            'would be logged as step 0; set it to False'
        )
    return True


def _check_best(problems: Problems, key: str, hook: dict, names: MetricNames | None) -> None:
    wanted = hook['save_best']
    if names is None:
        problems.warn(f'{key} is {wanted!r}, but nothing is validated, so no checkpoint is ever the best; leave it out')
        return
    for name in wanted if isinstance(wanted, (list, tuple)) else [wanted]:
        if name != 'auto':
            _check_name(problems, key, name, names)
        elif names.names:
            name = names.names[0]
            problems.warn(
                f"{key} is 'auto', which takes the first metric of a validation, {name}; name the metric that "
                f'is meant: {", ".join(names.names)}'
            )
        elif names.complete:
            problems.refuse(f"{key} is 'auto', but validation gives no metric; see val_evaluator")
            continue
        else:
            continue
        try:
            CheckpointHook(interval=1, save_best=name, rule=hook.get('rule') if isinstance(wanted, str) else None)
        except ValueError:
            if isinstance(wanted, str):
                problems.refuse(
                    f'{key} is {name!r}, of which MMEngine does not know whether more is better; set '
                    f"{key.rpartition('.')[0]}.rule='greater' or 'less'"
                )


def _check_name(problems: Problems, key: str, name: Any, names: MetricNames | None) -> None:
    if names is None:
        problems.refuse(
            f'{key} is {name!r}, but nothing is validated; leave it out, or set val_dataloader, val_cfg and '
            'val_evaluator'
        )
    elif not names.may_hold(str(name)):
        given = ', '.join(names.names) or 'no metric that is known before it'
        if names.complete:
            problems.refuse(
                f'{key} is {name!r}, but validation gives {given}; name one of them, or change val_evaluator'
            )
        else:
            problems.warn(
                f'{key} is {name!r}; validation gives {given}, and what a metric of val_evaluator calls its '
                'results is not known before the first validation'
            )


def _hooks(config: Config) -> Iterator[tuple[str, dict]]:
    """Key and config of every hook."""
    for name, hook in (config.get('default_hooks') or {}).items():
        if isinstance(hook, dict):
            yield f'default_hooks.{name}', hook
    for index, hook in enumerate(config.get('custom_hooks') or ()):
        if isinstance(hook, dict):
            yield f'custom_hooks.{index}', hook


def _check_checkpoints(problems: Problems, config: Config, loop: Loop) -> None:
    hooks = config.get('default_hooks') or {}
    hook = hooks.get('checkpoint', dict(interval=1))
    labels = loop.key != 'train_cfg'  # the last checkpoint of each of these trainings labels images
    if not isinstance(hook, dict):
        if labels:
            problems.refuse(
                'default_hooks.checkpoint is None, but the last checkpoint of each training labels images; set it'
            )
        return
    by_epoch, interval = hook.get('by_epoch', True), hook.get('interval', -1)
    if by_epoch and not loop.by_epoch:
        problems.warn(
            'default_hooks.checkpoint.by_epoch is True, but training counts iterations and is one epoch: a run '
            'that is killed leaves no checkpoint; set it to False'
        )
    elif by_epoch == loop.by_epoch and not hook.get('save_last', True) and not 0 < interval <= loop.total:
        tell = problems.refuse if labels else problems.warn
        tell(
            f'default_hooks.checkpoint saves nothing: interval is {interval}, {loop.length}, and save_last is '
            'False; set save_last=True'
        )


def policies(node: Any, path: str = 'param_scheduler') -> Iterator[tuple[str, dict]]:
    """Key and config of every schedule, of one optimizer or of several by name.

    Args:
        node: ``param_scheduler`` of a config.
        path: its key.
    """
    if isinstance(node, (list, tuple)):
        for index, child in enumerate(node):
            yield from policies(child, f'{path}.{index}')
    elif isinstance(node, dict) and 'type' in node:
        yield path, node
    elif isinstance(node, dict):
        for name, child in node.items():
            yield from policies(child, f'{path}.{name}')


def _check_schedule(problems: Problems, key: str, kind: str, policy: dict, loop: Loop, start: int) -> None:
    begin, end = policy.get('begin', 0), policy.get('end', math.inf)
    if begin >= loop.total:
        problems.warn(f'{key}.begin is {begin}, but {loop.length}: the schedule never begins')
        return
    end, span = _end(kind, policy, begin, end)
    rises = kind.startswith(('Linear', 'Constant')) and _first(kind, policy) < _final(kind, policy)
    if 'CosineRestart' in kind or 'OneCycle' in kind:
        if begin + span < min(loop.total, policy.get('end', math.inf)):
            problems.refuse(
                f'{key} ({kind}) lasts {span}, but {loop.length}: MMEngine would stop there with an error; set '
                f'{"periods" if "Restart" in kind else "total_steps"} to the length of training'
            )
    elif rises and end >= loop.total:
        problems.warn(
            f'{key} ({kind}) is a warm-up until {_said(end)}, but {loop.length}: all of training is warm-up; set '
            f'{key}.end'
        )
    elif kind.startswith('MultiStep') and end >= loop.total:
        problems.warn(f'{key}.milestones begin at {end}, but {loop.length}: the learning rate never falls')
    elif not rises and end > loop.total:
        problems.warn(
            f'{key} ({kind}) ends at {_said(end)}, but {loop.length}: the learning rate is cut off before its '
            f'end; set {key}.end to the length of training'
        )
    elif not rises and end < loop.total and _floor(kind, policy) is not None:
        rest = (loop.total - max(end, start)) / max(loop.total - start, 1)
        if _floor(kind, policy) == 0 and rest >= WASTE:
            problems.refuse(
                f'{key} ({kind}) ends at {end} with a learning rate of 0, but {loop.length}: nothing is learned '
                f'after {end}; set {key}.end to the length of training'
            )
        elif rest >= WASTE:
            problems.warn(
                f'{key} ({kind}) ends at {end}, but {loop.length}: the learning rate stays at its least from '
                f'there; set {key}.end to the length of training'
            )


def _end(kind: str, policy: dict, begin: int, end: float) -> tuple[float, float]:
    """Where a schedule has done what it does, and how long it takes."""
    if kind.startswith('CosineAnnealing') and policy.get('T_max') is not None:
        return begin + policy['T_max'], policy['T_max']
    if 'CosineRestart' in kind:
        return end, sum(policy.get('periods') or ())
    if 'OneCycle' in kind and policy.get('total_steps') is not None:
        return begin + policy['total_steps'], policy['total_steps']
    if kind.startswith('MultiStep') and policy.get('milestones'):
        return begin + min(policy['milestones']), min(policy['milestones'])
    if kind.startswith(('Step', 'Exponential')):
        return begin, 0
    return end, end - begin


def _first(kind: str, policy: dict) -> float:
    return policy.get('factor' if kind.startswith('Constant') else 'start_factor', 1 / 3)


def _final(kind: str, policy: dict) -> float:
    return 1.0 if kind.startswith('Constant') else policy.get('end_factor', 1.0)


def _floor(kind: str, policy: dict) -> float | None:
    """The least value, at the end, of schedules that go down to one; None of others."""
    if kind.startswith('Linear'):
        return policy.get('end_factor', 1.0)
    if kind.startswith('Poly'):
        return policy.get('eta_min', 0)
    if kind.startswith('CosineAnnealing'):
        return policy.get('eta_min_ratio') or policy.get('eta_min') or 0
    return None


def _said(end: float) -> str:
    return 'no end that is set' if math.isinf(end) else str(end)
