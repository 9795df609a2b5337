"""Comparability of runs: settings that must be equal, and settings that a method may choose."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from ..distillers.teacher import live_teachers, teachers_by_name
from ..io.configs import flatten, outer_preprocessor, shown
from ..io.errors import ConfigError
from ..io.runs import Run

# Keys that affect what a network learns. All other keys are about logging, checkpoints and tests.
TRAINING = (
    'train_dataloader',
    'optim_wrapper',
    'param_scheduler',
    'train_cfg',
    'custom_hooks',
    'load_from',
    'randomness',
    'auto_scale_lr',
)
IGNORED_KEYS = (
    'randomness.seed',
    'train_cfg.val_interval',
    'train_cfg.val_begin',
    'train_dataloader.num_workers',
    'train_dataloader.persistent_workers',
    'train_dataloader.prefetch_factor',
    'train_dataloader.pin_memory',
)
# With these kinds of budget, the number of iterations may differ.
OPEN_BUDGETS = ('epochs', 'seconds')
# A data set without labels, and transforms in place of LoadAnnotations.
WITHOUT_LABELS = {'UnlabeledFolderDataset', 'LoadVoidAnnotations', 'LoadUnknownAnnotations'}


class Difference(NamedTuple):
    """One setting that must be equal in all runs, but is not.

    Args:
        kind: group of the setting: data, crop, iterations, batch, student, teacher (with its name, if it has one) or
            budget.
        key: config key. ``model[.student]`` means ``model`` in a baseline and ``model.student`` in a distiller.
        values: each value with its runs, the most common value first.

    Example:
        >>> str(Difference('crop', 'crop_size', [('512', ['a', 'b']), ('769', ['c'])]))
        'different crop: crop_size is 512 in a, b, but 769 in c'
    """

    kind: str
    key: str
    values: list[tuple[str, list[str]]]

    def __str__(self) -> str:
        return f'different {self.kind}: {self.key} is ' + ', but '.join(
            f'{value} in {_some(runs)}' for value, runs in self.values
        )


def find_differences(runs: Sequence[Run]) -> list[Difference]:
    """The settings that must be equal for a fair comparison, but are not.

    Args:
        runs: complete runs. The number of iterations may differ if all runs belong to sweeps with the same budget in
            epochs or seconds.

    Example:
        >>> from pathlib import Path
        >>> runs = [Run(Path(name), config=dict(model=dict(type=name))) for name in ('a', 'b')]
        >>> [difference.key for difference in find_differences(runs)]
        ['model[.student].type']
    """
    conditions = [fixed_settings(run) for run in runs]
    budgets = [(run.sweep or {}).get('budget') or {} for run in runs]
    if budgets and all(budget == budgets[0] and budget.get('kind') in OPEN_BUDGETS for budget in budgets):
        for condition in conditions:
            del condition['iterations']
    elif all(budgets):
        for condition, budget in zip(conditions, budgets):
            condition['budget'] = {'budget.kind': budget.get('kind'), 'budget.value': budget.get('value')}
    names = run_names(runs)
    found = []
    for kind in dict.fromkeys(kind for condition in conditions for kind in condition):
        relevant = [(name, condition[kind]) for name, condition in zip(names, conditions) if kind in condition]
        for key in dict.fromkeys(key for _, settings in relevant for key in settings):
            values: list[tuple[Any, list[str]]] = []
            for name, settings in relevant:
                value = settings.get(key)
                holders = next((holders for known, holders in values if known == value), None)
                if holders is None:
                    values.append((value, [name]))
                else:
                    holders.append(name)
            if len(values) > 1:
                texts = {shown(value) for value, _ in values}
                text_of = shown if len(texts) == len(values) else repr
                values.sort(key=lambda item: -len(item[1]))
                found.append(Difference(kind, key, [(text_of(value), holders) for value, holders in values]))
    return found


def training_settings(run: Run) -> dict[str, Any]:
    """The settings that affect training, by dotted key, without the seed.

    Args:
        run: run with a config.

    Example:
        >>> from pathlib import Path
        >>> training_settings(Run(Path('a'), config=dict(model=dict(backbone=dict(depth=18)))))
        {'processes': 1, 'model.backbone.depth': 18}
    """
    settings = {'processes': run.processes}
    for key in TRAINING:
        settings.update(flatten(run.config.get(key), key))
    model = run.config.get('model', {})
    settings.update(flatten(model, 'model'))
    if model.get('student', model).get('data_preprocessor') is None:
        settings.update(flatten(run.config.get('data_preprocessor'), 'data_preprocessor'))
    fitted = _fitted_to_seconds(run)
    return {
        key: value for key, value in settings.items() if key not in IGNORED_KEYS and not (fitted and _is_length(key))
    }


def run_names(runs: Sequence[Run]) -> list[str]:
    """The folders of the runs without their common parents, in the same order.

    Args:
        runs: runs in any order.

    Example:
        >>> from pathlib import Path
        >>> run_names([Run(Path('work_dirs/cwd/0')), Run(Path('work_dirs/pi/0'))])
        ['cwd/0', 'pi/0']
    """
    parts = [run.folder.parts for run in runs]
    same = 0
    while parts and all(len(one) > same + 1 and one[same] == parts[0][same] for one in parts):
        same += 1
    return ['/'.join(one[same:]) or '.' for one in parts]


def short_keys(keys: Sequence[str]) -> dict[str, str]:
    """The shortest ends of dotted keys that are still different.

    Args:
        keys: different keys.

    Example:
        >>> short_keys(['optimizer.lr', 'model.loss_pi.weight', 'model.loss_cwd.weight'])
        {'optimizer.lr': 'lr', 'model.loss_pi.weight': 'loss_pi.weight', 'model.loss_cwd.weight': 'loss_cwd.weight'}
    """
    found = {}
    for key in keys:
        parts = key.split('.')
        for length in range(1, len(parts) + 1):
            end = '.'.join(parts[-length:])
            if sum(other == end or other.endswith(f'.{end}') for other in keys) == 1:
                break
        found[key] = end
    return found


def varied_keys(settings: Sequence[dict[str, Any]]) -> list[str]:
    """The keys whose values are not equal in all settings.

    Args:
        settings: settings of each run, by dotted key.

    Example:
        >>> varied_keys([dict(lr=0.1, depth=18), dict(lr=0.2, depth=18)])
        ['lr']
    """
    every = dict.fromkeys(key for one in settings for key in one)
    return [key for key in every if any(one.get(key) != settings[0].get(key) for one in settings)]


def fixed_settings(run: Run) -> dict[str, dict[str, Any]]:
    """The settings that a fair comparison keeps fixed, by kind and dotted key.

    The data are the labeled images only: a method may use unlabeled images in its own way. A method may also choose the
    number of its teachers, but teachers with the same name must be equal.

    Args:
        run: run with a config.

    Example:
        >>> from pathlib import Path
        >>> sorted(fixed_settings(Run(Path('a'), config={})))
        ['batch', 'crop', 'data', 'iterations', 'student']
    """
    config = run.config
    model = config.get('model', {})
    network = model.get('student', model)
    preprocessor = network.get('data_preprocessor') or outer_preprocessor(config)
    train, val = config.get('train_dataloader') or {}, config.get('val_dataloader') or {}
    train_cfg = config.get('train_cfg', {})
    data = {
        **flatten(_labeled(train.get('dataset'), 'max_epochs' in train_cfg), 'train_dataloader.dataset'),
        **flatten(val.get('dataset'), 'val_dataloader.dataset'),
        **flatten(config.get('val_evaluator'), 'val_evaluator'),
        **flatten(preprocessor, 'model[.student].data_preprocessor'),
    }
    crop = {key: data.pop(key) for key in list(data) if key.endswith(('.crop_size', '.data_preprocessor.size'))}
    settings = {
        'data': data,
        'crop': crop,
        'iterations': {f'train_cfg.{key}': train_cfg[key] for key in ('max_iters', 'max_epochs') if key in train_cfg},
        'batch': {'train_dataloader.batch_size': train.get('batch_size'), 'processes': run.processes},
        'student': {
            **flatten(architecture(network), 'model[.student]'),
            **flatten(config.get('load_from'), 'load_from'),
        },
    }
    if model.get('teacher') is not None:
        for name, teacher in teachers_by_name(_without_cache(model['teacher'])).items():
            settings[f'teacher {name}'.strip()] = flatten(teacher, f'model.teacher.{name}'.rstrip('.'))
    return settings


def _without_cache(teacher: Any) -> Any:
    """A teacher without its stored outputs, which are those of its network; as it is if it has nothing else."""
    try:
        return live_teachers(teacher)
    except ConfigError:
        return teacher


def _labeled(dataset: Any, by_epoch: bool) -> Any:
    """A training set without unlabeled images and their pipeline.

    Args:
        dataset: The config of the training set.
        by_epoch: Whether the size of the training set decides how many iterations there are.
    """
    if not isinstance(dataset, dict):
        return dataset
    if 'labeled' in dataset:
        return {key: dataset[key] for key in ('labeled', 'partition') if key in dataset}
    parts = dataset.get('datasets') or ()
    labeled = [part for part in parts if _has_labels(part)]
    if by_epoch or len(labeled) != 1 or len(parts) == 1:
        return dataset
    # As with_unlabeled() joins them.
    return labeled[0]['dataset'] if labeled[0].get('type') == 'RepeatDataset' else labeled[0]


def _has_labels(dataset: dict) -> bool:
    kinds = [one.get('type') for one in (dataset, *(dataset.get('pipeline') or ()))]
    names = {str(kind).rpartition('.')[2] for kind in kinds}  # whatever scope or module is before them
    return not names & WITHOUT_LABELS


def architecture(network: Any) -> Any:
    """A network without its losses, which a method may choose.

    Args:
        network: config of a segmentor.

    Example:
        >>> architecture(dict(depth=18, loss_decode=dict(type='CrossEntropyLoss')))
        {'depth': 18}
    """
    if isinstance(network, list):
        return [architecture(item) for item in network]
    if not isinstance(network, dict):
        return network
    return {
        key: architecture(value) for key, value in network.items() if key not in ('loss_decode', 'data_preprocessor')
    }


def _fitted_to_seconds(run: Run) -> bool:
    return ((run.sweep or {}).get('budget') or {}).get('kind') == 'seconds'


def _is_length(key: str) -> bool:
    """Whether a key is about the length of training, which depends on the machine if the budget is in seconds."""
    return key == 'train_cfg.max_iters' or (
        key.startswith('param_scheduler.') and key.endswith(('.begin', '.end', '.T_max'))
    )


def _some(names: list[str]) -> str:
    return ', '.join(names) if len(names) < 4 else f'{names[0]}, {names[1]} and {len(names) - 2} more'
