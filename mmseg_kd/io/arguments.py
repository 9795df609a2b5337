"""Compare the arguments in a config with the constructors that get them, and build objects from configs.

Constructors need no checks of types: their annotations are checked here, in one place, with the key of the setting in
the message.
"""

import ast
import collections.abc
import difflib
import functools
import inspect
import math
import numbers
import re
import types
import typing
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from mmengine.model import BaseModule
from mmengine.registry import Registry
from mmengine.utils import ManagerMixin
from mmseg import registry as registries

from .errors import ConfigError

# The registry of what stands under a key; elsewhere it is that of the surrounding object.
REGISTRY_OF = dict(
    dataset='DATASETS',
    datasets='DATASETS',
    labeled='DATASETS',
    unlabeled='DATASETS',
    truth='DATASETS',
    sampler='DATA_SAMPLERS',
    batch_sampler='DATA_SAMPLERS',
    pipeline='TRANSFORMS',
    unlabeled_pipelines='TRANSFORMS',
    transforms='TRANSFORMS',
    optimizer='OPTIMIZERS',
    vis_backends='VISBACKENDS',
    weight='TASK_UTILS',
)
# Their parts are built by functions of MMEngine and MMCV that take out keys of their own.
OPEN_KEYS = ('init_cfg', 'norm_cfg', 'conv_cfg', 'act_cfg', 'upsample_cfg', 'plugins', 'pretrain_norm_cfg')
# Keys that MMEngine reads before it builds the object.
READ_BEFORE = dict(
    HOOKS=('priority',),
    LOOPS=('by_epoch',),
    PARAM_SCHEDULERS=('convert_to_iter_based', 'optimizer'),
    OPTIM_WRAPPERS=('constructor', 'paramwise_cfg', 'critic'),
    VISUALIZERS=('name',),
)
# Nothing but the config gives arguments to these.
COMPLETE = ('HOOKS', 'TRANSFORMS', 'METRICS')
OWN = ('mmseg_kd', '__main__')
SCOPES = (None, 'mmseg_kd', 'mmseg', 'mmengine')
MISSING = inspect.Parameter.empty


class Arguments(NamedTuple):
    """The arguments that a class or function takes from a config.

    Args:
        known: The annotation and the default of each, by name; ``MISSING`` where there is none.
        open: Whether it takes others as well.

    Example:
        >>> Arguments(dict(weight=(float, 1.0)), open=False).known['weight']
        (<class 'float'>, 1.0)
    """

    known: dict[str, tuple[Any, Any]]
    open: bool


def build(registry: Registry, config: Any, key: str, base: type | None = None, wanted: str = '', **given: Any) -> Any:
    """Build an object from its config after a check of all arguments.

    Args:
        registry: The registry of its type.
        config: The config, a dict with ``type``.
        key: The key of the config, for messages.
        base: The class that the type must be derived from.
        wanted: Words for ``base`` in the message, such as ``'a loss'``.
        given: Further arguments of the constructor.

    Raises:
        ConfigError: If the type is unknown, if an argument is missing, unknown or of a wrong type, or if the
            constructor raises a ValueError. The message names the key, and has one line for each mistake.

    Example:
        >>> from mmseg.registry import TASK_UTILS
        >>> build(TASK_UTILS, dict(type='DelayedWeight', weight=2.0, begin='10'), 'model.terms.loss_cwd.weight')
        Traceback (most recent call last):
        ...
        mmseg_kd.io.errors.ConfigError: model.terms.loss_cwd.weight.begin must be a whole number, but is '10' ...
    """
    found = list(mistakes(registry, config, key, base, wanted, given))
    if found:
        raise ConfigError('\n'.join(found))
    try:
        return registry.build(dict(config, **given))
    except ConfigError as error:  # of a config within this one
        raise ConfigError('\n'.join(f'{key}.{line}' for line in str(error).splitlines())) from None
    except ValueError as error:
        if type(error) is not ValueError:
            raise
        raise ConfigError(_with_key(str(error), key, registered(registry, config['type']))) from None


def mistakes(
    registry: Registry,
    config: Any,
    key: str,
    base: type | None = None,
    wanted: str = '',
    given: dict[str, Any] | None = None,
) -> Iterator[str]:
    """One line for each mistake in the config of an object, and in the configs within it.

    Args:
        registry: The registry of its type.
        config: The config.
        key: The key of the config.
        base: The class that the type must be derived from.
        wanted: Words for ``base`` in the message.
        given: Further arguments of the constructor; None if they are not known, so that none counts as missing.

    Example:
        >>> from mmseg.registry import MODELS
        >>> list(mistakes(MODELS, dict(type='CWDLos'), 'loss'))
        ["loss.type: 'CWDLos' is not registered; did you mean CWDLoss?"]
    """
    if not isinstance(config, dict):
        example = f'write dict(type={config!r})' if isinstance(config, str) else 'write dict(type=..., ...)'
        yield f'{key} must be a dict with a type, but is {told(config)}; {example}'
        return
    if config.get('_scope_') not in SCOPES:  # of a registry that is not known here
        return
    kind = config.get('type')
    if kind is None:
        yield f'{key} needs a type; write {key.rpartition(".")[2]}=dict(type=..., ...)'
        return
    target = registered(registry, kind)
    if target is None:
        known = {*registry.module_dict, *(registry.parent.module_dict if registry.parent else ())}
        names = [name for name in known if base is None or _derives(registry.get(name), base)]
        advice = nearest(str(kind), names) or 'check the spelling, and that custom_imports imports its module'
        yield f'{key}.type: {kind!r} is not registered; {advice}'
        return
    if base is not None and not _derives(target, base):
        yield f'{key} must be {wanted or f"a {base.__name__}"}, but {_name(target)} is none; choose another type'
        return
    yield from _argument_mistakes(
        target, {k: v for k, v in config.items() if k not in ('type', '_scope_')}, key, registry, given
    )


def call_mistakes(target: Callable, config: Any, key: str, given: Iterable[str] = ()) -> Iterator[str]:
    """One line for each mistake in the arguments of a class that is not built by its type.

    Args:
        target: The class.
        config: Its arguments.
        key: The key of the arguments.
        given: Names of further arguments, which the config does not set.
    """
    if not isinstance(config, dict):
        names = ', '.join(f'{name}=...' for name in [name for name in arguments(target).known if name not in given][:2])
        yield f'{key} must be a dict such as dict({names}), but is {told(config)}; write a dict'
        return
    yield from _argument_mistakes(target, config, key, registries.MODELS, dict.fromkeys(given))


def _argument_mistakes(
    target: Any, config: dict, key: str, registry: Registry, given: dict[str, Any] | None
) -> Iterator[str]:
    known, is_open = arguments(target)
    own = str(getattr(target, '__module__', '')).split('.')[0] in OWN
    before = READ_BEFORE.get(_registry_name(registry), ())
    taken = given or {}
    names = [name for name in known if name not in taken]
    for name, value in config.items():
        at = f'{key}.{name}'
        if name in before:
            continue
        if name not in names:
            # A hook that takes any argument passes it on to another library.
            meant = is_open and _registry_name(registry) == 'HOOKS' and nearest(name, names, 0.85)
            if not is_open or meant:
                yield f'{at}: {_name(target)} has no argument {name}; {nearest(name, names) or _takes(names)}'
            continue
        annotation, default = known[name]
        wrong = misfit(value, annotation, at, default, own) if own or _is_plain(annotation, value) else None
        if wrong is not None:
            yield wrong
        elif _name(target) != 'Albu' and name not in OPEN_KEYS and not name.endswith('_cfg'):
            yield from nested(value, at, _child_registry(registry, name))
    complete = given is not None or _registry_name(registry) in COMPLETE
    if complete and not is_open:
        for name, (_, default) in known.items():
            if default is MISSING and name not in config and name not in taken:
                yield f'{key} needs {name}; add {key}.{name}, which has no default'


def nested(node: Any, key: str, registry: Registry) -> Iterator[str]:
    """One line for each mistake in the configs with a type within a value.

    Args:
        node: The value: dicts, lists and others.
        key: Its key.
        registry: The registry of the types.
    """
    if isinstance(node, dict):
        if 'type' in node and isinstance(node['type'], (str, type)):
            yield from mistakes(registry, node, key)
            return
        for name, value in node.items():
            if name not in OPEN_KEYS and not str(name).endswith('_cfg'):
                yield from nested(value, f'{key}.{name}', _child_registry(registry, name))
    elif isinstance(node, (list, tuple)):
        for index, value in enumerate(node):
            yield from nested(value, f'{key}.{index}', registry)


def misfit(value: Any, annotation: Any, key: str, default: Any = MISSING, strict: bool = True) -> str | None:
    """A line that says why a value does not fit an annotation; None if it fits, or if the annotation says nothing.

    Whole numbers fit ``float``, lists fit tuples and the reverse, and NumPy's scalars fit like Python's. NaN and
    infinity are no numbers, unless the default is infinite.

    Args:
        value: The value of the setting.
        annotation: The annotation of the argument.
        key: The key of the setting.
        default: The default of the argument.
        strict: Whether floats do not fit ``int``. Annotations in other libraries are often too narrow.

    Example:
        >>> misfit(4, float, 'loss.temperature') is None
        True
        >>> misfit(None, float, 'loss.temperature', 4.0)
        'loss.temperature must be a number, but is None; remove it for the default 4.0'
        >>> misfit([1, 'b'], list[int], 'loss.only')
        "loss.only.1 must be a whole number, but is 'b' (a str); change it"
    """
    if annotation is MISSING or (default is not MISSING and _same(value, default)):
        return None
    wrong = _misfit(value, annotation, strict, _infinite(default))
    if wrong is None:
        return None
    path, part, expected = wrong
    advice = _advice(part, expected, MISSING if path else default)
    return f'{key}{path} must be {_phrase(expected)}, but is {told(part)}; {advice}'


def registered(registry: Registry, kind: Any) -> Any:
    """The class or function of a ``type``; None if it is not known.

    Args:
        registry: The registry in which to look first.
        kind: The name, or the class itself.
    """
    if not isinstance(kind, str):
        return kind if callable(kind) else None
    try:
        found = registry.get(kind)
        if found is None and _registry_name(registry) in ('MODELS', 'TASK_UTILS'):
            # MMSegmentation keeps parts of networks in several registries.
            others = (registries.MODELS, registries.TASK_UTILS, registries.TRANSFORMS, registries.WEIGHT_INITIALIZERS)
            found = next((other.get(kind) for other in others if other.get(kind) is not None), None)
        return found
    except Exception:  # a package that is named but not installed; building it says so
        return MISSING


@functools.cache
def arguments(target: Any) -> Arguments:
    """The arguments of a class or function, with those that it passes on to its base classes.

    Args:
        target: The class or function.

    Example:
        >>> from mmseg_kd.distillers import DelayedWeight
        >>> list(arguments(DelayedWeight).known), arguments(DelayedWeight).open
        (['weight', 'begin'], False)
    """
    known: dict[str, tuple[Any, Any]] = {}
    constructors: list[Any] = (
        [vars(kind)['__init__'] for kind in target.__mro__ if '__init__' in vars(kind)]
        if inspect.isclass(target)
        else [target]
    )
    for constructor in constructors:
        try:
            parameters = list(inspect.signature(constructor).parameters.values())
        except (TypeError, ValueError):
            return Arguments(known, True)
        hints = _hints(constructor)
        for parameter in parameters[inspect.isclass(target) :]:
            if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                known.setdefault(parameter.name, (hints.get(parameter.name, MISSING), parameter.default))
        if not any(parameter.kind == parameter.VAR_KEYWORD for parameter in parameters):
            # Where a package is missing, MMSegmentation puts BaseModule in place of a base class.
            if constructor is BaseModule.__init__ and constructor is not constructors[0]:
                return Arguments(known, True)
            break
        if constructor.__qualname__ == 'Module.__init__':
            break
        if not _passes_on(constructor):
            return Arguments(known, True)
    else:
        return Arguments(known, True)
    if inspect.isclass(target) and issubclass(target, ManagerMixin):
        known.setdefault('name', (str, ''))
    return Arguments(known, False)


def nearest(name: str, known: Iterable[str], cutoff: float = 0.7) -> str:
    """``'did you mean ...?'`` with the known name that is most like the given one; empty if none is.

    Args:
        name: The name that is not known.
        known: The names that are.
        cutoff: The least similarity, from 0 to 1.

    Example:
        >>> nearest('temprature', ['temperature', 'kernel'])
        'did you mean temperature?'
    """
    by_lower = {other.lower(): other for other in sorted(known)}
    found = difflib.get_close_matches(name.lower(), list(by_lower), n=1, cutoff=cutoff)
    return f'did you mean {by_lower[found[0]]}?' if found else ''


def told(value: Any) -> str:
    """A value with its type, where the value alone does not show it, in at most 80 characters.

    Args:
        value: The value of a setting.

    Example:
        >>> told('4.0'), told(None), told(float('nan'))
        ("'4.0' (a str)", 'None', 'nan')
    """
    text = repr(dict(value) if isinstance(value, dict) else value)
    text = text if len(text) <= 60 else f'{text[:57]}...'
    named = value is None or isinstance(value, (bool, int, float, dict))
    return text if named else f'{text} (a {type(value).__name__})'


def _misfit(value: Any, annotation: Any, strict: bool, infinite: bool) -> tuple[str, Any, Any] | None:
    """The path within a value to the part that does not fit, that part, and its annotation."""
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        found = [_misfit(value, part, strict, infinite) for part in parts]
        if None in found:
            return None
        inner = [each for each in found if each is not None and each[0]]
        return inner[0] if len(inner) == 1 else ('', value, annotation)
    if origin is typing.Annotated:
        return _misfit(value, parts[0], strict, infinite)
    if origin is typing.Literal:
        return None if value in parts else ('', value, annotation)
    kind = origin or annotation
    if kind is None or kind is type(None):
        fits = value is None
    elif kind is bool:
        fits = isinstance(value, (bool, np.bool_))
    elif kind is int:
        fits = _is_number(value) and (isinstance(value, numbers.Integral) or (not strict and math.isfinite(value)))
    elif kind is float:
        fits = _is_number(value) and (math.isfinite(value) or (infinite and math.isinf(value)))
    elif kind is str or _is_dict(kind):
        fits = isinstance(value, str if kind is str else dict)
    elif kind is Path:
        fits = isinstance(value, (str, Path))
    elif kind in (list, tuple, set, frozenset) or kind in _SEQUENCES:
        return _sequence_misfit(value, annotation, kind, parts, strict, infinite)
    elif kind is collections.abc.Mapping:
        fits = isinstance(value, dict)
    elif kind is collections.abc.Callable:
        fits = callable(value) or isinstance(value, (str, dict))
    else:  # classes that a config cannot write
        return None
    if not fits:
        return '', value, annotation
    if kind is dict and len(parts) == 2:
        for name, item in value.items():
            wrong = _misfit(item, parts[1], strict, infinite)
            if wrong is not None:
                return f'.{name}{wrong[0]}', wrong[1], wrong[2]
    return None


_SEQUENCES = (
    collections.abc.Sequence,
    collections.abc.Iterable,
    collections.abc.Collection,
    collections.abc.MutableSequence,
)


def _sequence_misfit(
    value: Any, annotation: Any, kind: Any, parts: tuple, strict: bool, infinite: bool
) -> tuple[str, Any, Any] | None:
    if isinstance(value, (str, bytes, dict)) or not isinstance(value, collections.abc.Iterable):
        return '', value, annotation
    if not isinstance(value, (list, tuple, range, np.ndarray)):
        return None
    fixed = kind is tuple and parts and parts[-1] is not Ellipsis
    if fixed and strict and len(parts) != len(value):
        return '', value, annotation
    for index, item in enumerate(value):
        part = parts[min(index, len(parts) - 1)] if fixed else parts[0] if parts else Any
        wrong = None if part is Ellipsis else _misfit(item, part, strict, infinite)
        if wrong is not None:
            return f'.{index}{wrong[0]}', wrong[1], wrong[2]
    return None


def _phrase(annotation: Any, plural: bool = False) -> str:
    """An annotation in words."""
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        return ' or '.join(dict.fromkeys(_phrase(part, plural) for part in parts))
    if origin is typing.Literal:
        return ' or '.join(map(repr, parts))
    kind = origin or annotation
    if kind is None or kind is type(None):
        return 'None'
    kind = dict if _is_dict(kind) else kind
    words: dict[Any, tuple[str, str]] = {bool: ('True or False', 'booleans'), int: ('a whole number', 'whole numbers')}
    words |= {float: ('a number', 'numbers'), str: ('a text', 'texts'), Path: ('a path', 'paths')}
    words |= {dict: ('a dict', 'dicts'), collections.abc.Mapping: ('a dict', 'dicts')}
    words[collections.abc.Callable] = ('a function', 'functions')
    if kind in words:
        text = words[kind][plural]
        return text if kind is not dict or len(parts) < 2 or parts[1] is Any else f'{text} of {_phrase(parts[1], True)}'
    if kind in (list, tuple, set, frozenset) or kind in _SEQUENCES:
        inner = [part for part in parts if part is not Ellipsis]
        number = f'{len(inner)} ' if kind is tuple and Ellipsis not in parts and inner else ''
        text = 'lists' if plural else 'a list'
        return f'{text} of {number}{_phrase(inner[0], True)}' if inner and inner[0] is not Any else text
    return f'a {getattr(kind, "__name__", kind)}'


def _advice(value: Any, annotation: Any, default: Any) -> str:
    if isinstance(value, str):
        try:
            parsed = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            parsed = value
        if not isinstance(parsed, str) and _misfit(parsed, annotation, True, False) is None:
            return f'write {parsed!r} without quotes'
    if _misfit([value], annotation, True, False) is None:
        return f'write [{value!r}]'
    if isinstance(value, (list, tuple)) and len(value) == 1 and _misfit(value[0], annotation, True, False) is None:
        return f'write {value[0]!r}'
    if isinstance(value, str) and value.isidentifier() and _misfit({}, annotation, True, False) is None:
        return f'write dict(type={value!r})'
    if default is not MISSING and isinstance(default, (bool, int, float, str, tuple, list, type(None))):
        return f'remove it for the default {default!r}'
    return 'write dict(...)' if _is_dict(typing.get_origin(annotation) or annotation) else 'change it'


def _with_key(message: str, key: str, target: Any) -> str:
    """The message of a constructor, ``<class>: <argument> must be ...``, with the key in place of the class."""
    text = message.removeprefix(f'{_name(target)}: ')
    first = text.split(' ', 1)[0]
    return f'{key}.{text}' if text != message and first in arguments(target).known else f'{key}: {message}'


def _takes(names: list[str]) -> str:
    return f'it takes {", ".join(names)}' if names else 'it takes none'


def _child_registry(registry: Registry, name: Any) -> Registry:
    if name == 'sampler' and _registry_name(registry) == 'MODELS':
        return registry
    return getattr(registries, REGISTRY_OF[name]) if name in REGISTRY_OF else registry


@functools.cache
def _registry_name(registry: Registry) -> str:
    return next((name for name, value in vars(registries).items() if value is registry), registry.name)


def _passes_on(constructor: Any) -> bool:
    """Whether a constructor gives its keyword arguments to that of its base class."""
    try:
        source = inspect.getsource(constructor)
    except (OSError, TypeError):
        return False
    return re.search(r'\.__init__\([^()]*(\([^()]*\)[^()]*)*\*\*kwargs', source) is not None


def _is_plain(annotation: Any, value: Any) -> bool:
    """Whether an annotation allows nothing but numbers, or nothing but dicts where a number or text came.

    Others are often too narrow in other libraries.
    """
    parts = [part for part in typing.get_args(annotation) or (annotation,) if part is not type(None)]
    numeric = all(part in (int, float, bool) for part in parts)
    return numeric or (isinstance(value, (str, int, float)) and all(_is_dict(part) for part in parts))


def _is_dict(annotation: Any) -> bool:
    return inspect.isclass(annotation) and issubclass(annotation, dict)


def _hints(constructor: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(constructor)
    except Exception:  # annotations that only a type checker can resolve
        return {}


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, (bool, np.bool_))


def _infinite(default: Any) -> bool:
    return isinstance(default, float) and math.isinf(default)


def _same(value: Any, default: Any) -> bool:
    return value is default or (type(value) is type(default) and not isinstance(value, np.ndarray) and value == default)


def _derives(target: Any, base: type) -> bool:
    return target is MISSING or not inspect.isclass(target) or issubclass(target, base)


def _name(target: Any) -> str:
    return getattr(target, '__name__', str(target))
