"""Find and read configs, and find published weights by name."""

from __future__ import annotations

import ast
import copy
import difflib
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.config.lazy import LazyAttr, LazyObject
from mmengine.fileio import load
from mmengine.registry import Registry
from mmengine.utils import get_object_from_string
from mmseg import registry as registries

from .errors import ConfigError

OWN = 'mmseg_kd'
# Names of these packages are registered as soon as MMSegmentation is imported. Other classes need their full name,
# which imports their module.
ALWAYS_REGISTERED = ('mmseg', 'mmengine', 'mmcv', 'torch', OWN)


def config_file(name: str, what: str = 'config', shown: str | None = None) -> Path:
    """The file of a config given by path, or as ``package::relative/path.py``.

    Args:
        name: path of the config, or ``package::relative/path.py``.
        what: word for it in the error.
        shown: name of it in the error; ``name`` if left out.

    Raises:
        FileNotFoundError: if it does not exist; the nearest name of the same folder is told.
    """
    package, _, relative = name.rpartition('::')
    path = _mim(package) / 'configs' / relative if package else Path(name)
    if path.is_file():
        return path
    others = [other.stem for other in path.parent.glob('*.py')]
    near = difflib.get_close_matches(path.stem, others, n=1, cutoff=0.75 if shown is None else 0.4)
    hint = '' if not near else near[0] if shown else f'{name.removesuffix(path.name)}{near[0]}.py'
    raise FileNotFoundError(f'no such {what}: {shown or name}' + (f'; did you mean {hint}?' if hint else ''))


def read_config(name: str) -> Config:
    """Read a config in either of MMEngine's two styles; every ``type`` in the result is a string.

    In the newer style (``with read_base():``) types are classes. Converting them here spares the rest of the package
    that case.

    Args:
        name: Path of the config, or ``package::relative/path.py``.

    Raises:
        FileNotFoundError: If the config does not exist.

    Example:
        >>> from pathlib import Path
        >>> _ = Path('config.py').write_text("model = dict(type='EncoderDecoder')")
        >>> read_config('config.py').model.type
        'EncoderDecoder'
    """
    file = config_file(name)
    try:
        return with_names(Config.fromfile(file))
    except FileNotFoundError as error:
        missing = os.path.relpath(error.filename) if error.filename else error
        raise FileNotFoundError(f'{name}: its _base_ {missing} does not exist; correct the path') from None
    except ImportError as error:
        text = ' '.join(str(error).split()).split(', the current sys.path')[0]
        where = 'custom_imports: ' if 'custom modules' in text else ''
        raise ImportError(f'{name}: {where}{text}; install the package, or correct the name') from None
    except Exception as error:
        text = f'{type(error).__name__}: {" ".join(str(error).split())}'
        if 'import_modules_from_strings' in text:
            text = 'custom_imports must be a dict such as dict(imports=[...])'
        raise ConfigError(f'{name} cannot be read as a config: {text}; correct the file') from error


def merge_options(config: Config, options: dict[str, Any]) -> None:
    """Override settings of a config by those of ``--cfg-options``.

    Args:
        config: Config, changed in place.
        options: Values by dotted key.

    Raises:
        ConfigError: If a key leads through a value that is no dict, or to an item that a list does not have.

    Example:
        >>> config = Config(dict(train_cfg=dict(max_iters=100)))
        >>> merge_options(config, {'train_cfg.max_iters.begin': 3})
        Traceback (most recent call last):
        ...
        mmseg_kd.io.errors.ConfigError: --cfg-options train_cfg.max_iters.begin=3 fits no setting; check the key: ...
    """
    for key, value in options.items():
        try:
            config.merge_from_dict({key: value})
        except (KeyError, TypeError, IndexError, ValueError, AssertionError) as error:
            reason = ' '.join(str(error.args[0] if error.args else error).split())
            raise ConfigError(f'--cfg-options {key}={value} fits no setting; check the key: {reason}') from error


def with_names(config: Config) -> Config:
    """A config in which every ``type`` is a string; the same object if nothing has to change.

    Args:
        config: Config in either of MMEngine's two styles.

    Example:
        >>> config = Config(dict(model=dict(type='EncoderDecoder')))
        >>> with_names(config) is config
        True
    """
    written = config._to_lazy_dict()
    named = named_types(written)
    if named == written:
        return config
    named.setdefault('default_scope', 'mmseg')
    named['custom_imports'] = imports_with(named.get('custom_imports'), OWN)
    return Config(named, cfg_text=config.text, filename=config.filename)


def replaced_entries(file: Path) -> list[str]:
    """Hooks and imports that a config loses because it replaces a list of its base; one line for each such list.

    Args:
        file: Path of the config. The result is empty for a config without ``_base_``, and for lists that the config
            builds from its base's list.

    Example:
        >>> _ = Path('base.py').write_text("custom_hooks = [dict(type='NonFiniteLossHook')]")
        >>> _ = Path('config.py').write_text("_base_ = 'base.py'\\ncustom_hooks = [dict(type='EnergyHook')]")
        >>> replaced_entries(Path('config.py'))[0].split(';')[0]
        'config.py: custom_hooks replaces the list of its base and loses NonFiniteLossHook'
    """
    if file.suffix != '.py':
        return []
    assigned = {
        target.id: node.value
        for node in ast.parse(file.read_text(encoding='utf-8')).body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    bases = ast.literal_eval(assigned['_base_']) if '_base_' in assigned else []
    bases = [
        config_file(base if '::' in base else str(file.parent / base))
        for base in ([bases] if isinstance(bases, str) else bases)
    ]
    lines = [line for base in bases for line in replaced_entries(base)]
    for key, entries in LISTS.items():
        if (
            bases
            and key in assigned
            and not any(getattr(node, 'id', '') == '_base_' for node in ast.walk(assigned[key]))
        ):
            own, *inherited = (entries(Config.fromfile(path, import_custom_modules=False)) for path in (file, *bases))
            lost = [name for names in inherited for name in names if name not in own and name != OWN]
            if lost:
                lines.append(
                    f'{file}: {key} replaces the list of its base and loses {", ".join(lost)}; write '
                    f"{REMEDIES[key]} to keep the base's entries"
                )
    return lines


def _hooks(config: Config) -> list[str]:
    return [str(named_types(hook)['type']) for hook in config.get('custom_hooks') or []]


def _imports(config: Config) -> list[str]:
    known = (config.get('custom_imports') or {}).get('imports') or []
    return [known] if isinstance(known, str) else list(known)


LISTS = dict(custom_hooks=_hooks, custom_imports=_imports)
REMEDIES = dict(
    custom_hooks='custom_hooks = [*_base_.custom_hooks, ...]',
    custom_imports='custom_imports = dict(imports=[*_base_.custom_imports.imports, ...])',
)


def imports_with(custom_imports: dict | None, module: str) -> dict:
    """``custom_imports`` of a config, extended by one module.

    Args:
        custom_imports: ``custom_imports`` of the config; None if it has none.
        module: Name of the module.

    Example:
        >>> imports_with(None, 'mmseg_kd')
        {'imports': ['mmseg_kd']}
        >>> imports_with(dict(imports='own_losses'), 'mmseg_kd')
        {'imports': ['own_losses', 'mmseg_kd']}
    """
    known = _imports(dict(custom_imports=custom_imports))
    return dict(custom_imports or {}, imports=known if module in known else [*known, module])


def named_types(node: Any) -> Any:
    """A config, or a part of one, in which the name replaces every ``type`` that is a class or function.

    The name is the registry's short name where MMSegmentation's tools know it, and the full name elsewhere.

    Args:
        node: Dict, list or single value.

    Example:
        >>> named_types(dict(type=Path, parts=[dict(type='PSPHead')]))
        {'type': 'pathlib.Path', 'parts': [{'type': 'PSPHead'}]}
    """
    known = {}
    for registry in filter(lambda value: isinstance(value, Registry), vars(registries).values()):
        own = {**(registry.parent.module_dict if registry.parent else {}), **registry.module_dict}
        for name, value in own.items():
            if id(value) not in known or name == getattr(value, '__name__', None):
                known[id(value)] = name
    return _named(node, known)


def _named(node: Any, known: dict[int, str]) -> Any:
    if isinstance(node, (list, tuple)):
        return type(node)(_named(value, known) for value in node)
    if not isinstance(node, dict):
        return node.build() if isinstance(node, (LazyObject, LazyAttr)) else node
    return {key: _type_name(value, known) if key == 'type' else _named(value, known) for key, value in node.items()}


def _type_name(value: Any, known: dict[int, str]) -> Any:
    value = _named(value, known)
    if isinstance(value, str):
        # A name with one dot may begin with a scope (mmpretrain.ResNet), which MMEngine resolves.
        if value.count('.') < 2 and not value.startswith(f'{OWN}.'):
            return value
        value = get_object_from_string(value) or value
    if not hasattr(value, '__qualname__'):
        return value
    if id(value) in known and value.__module__.split('.')[0] in ALWAYS_REGISTERED:
        return known[id(value)]
    return f'{value.__module__}.{value.__qualname__}'


def model_config(name: str) -> ConfigDict:
    """The segmentor of a config file; see :func:`segmentor_config`.

    Args:
        name: Path of the config, or ``package::relative/path.py``.

    Example:
        >>> _ = Path('config.py').write_text("model = dict(type='EncoderDecoder')")
        >>> model_config('config.py')
        {'type': 'EncoderDecoder'}
    """
    return segmentor_config(read_config(name))


def segmentor_config(config: Config) -> ConfigDict:
    """A copy of the segmentor that a config describes: its ``model``, or the student if the model is a distiller.

    A segmentor without ``data_preprocessor`` gets the distiller's, or the one at the top level of the config, as
    MMEngine's Runner does it.

    Args:
        config: Config of a segmentor or of a distiller.

    Raises:
        ValueError: If the config has no model.

    Example:
        >>> segmentor_config(Config(dict(model=dict(type='Distiller', student=dict(type='EncoderDecoder')))))
        {'type': 'EncoderDecoder'}
    """
    if config.get('model') is None:
        raise ValueError(f'{config.filename or "the config"} has no model; add one, or use another config')
    network = copy.deepcopy(config.model.get('student') or config.model)
    preprocessor = outer_preprocessor(config)
    if network.get('data_preprocessor') is None and preprocessor is not None:
        network.data_preprocessor = copy.deepcopy(preprocessor)
    return network


def segmentor_key(config: Config) -> str:
    """The key of the segmentor of :func:`segmentor_config`, for messages.

    Args:
        config: Config of a segmentor or of a distiller.

    Example:
        >>> segmentor_key(Config(dict(model=dict(type='Distiller', student=dict(type='EncoderDecoder')))))
        'model.student'
    """
    return 'model.student' if (config.get('model') or {}).get('student') else 'model'


def outer_preprocessor(config: Config) -> ConfigDict | None:
    """The data preprocessor for networks of a config that have none: the distiller's, or the one at the top level.

    Args:
        config: Config of a segmentor or of a distiller.

    Example:
        >>> outer_preprocessor(Config(dict(model=dict(), data_preprocessor=dict(type='SegDataPreProcessor'))))
        {'type': 'SegDataPreProcessor'}
    """
    return (config.get('model') or {}).get('data_preprocessor') or config.get('data_preprocessor')


def preprocessors(config: Config) -> list[dict]:
    """The data preprocessors of a distillation: that of the student, and that of networks without their own.

    Args:
        config: Config of a distiller.

    Example:
        >>> size, network = dict(size=(8, 8)), dict(type='EncoderDecoder')
        >>> preprocessors(Config(dict(model=dict(student=network), data_preprocessor=size)))
        [{'size': (8, 8)}, {'size': (8, 8)}]
    """
    outer = outer_preprocessor(config) or {}
    return [(config.model.get('student') or {}).get('data_preprocessor') or outer, outer]


def published_weights(name: str) -> str:
    """Address of the weights that the library's metafile names for a config.

    Args:
        name: Name of the config, as ``package::relative/path.py``.

    Raises:
        ValueError: If ``name`` has another form, or if the metafiles name no weights for it.

    Example:
        >>> published_weights('my_config.py')
        Traceback (most recent call last):
        ...
        ValueError: checkpoint="auto" needs a library's config (such as mmseg::...), but got my_config.py; pass ...
    """
    package, _, relative = name.rpartition('::')
    if not package:
        raise ValueError(
            f'checkpoint="auto" needs a library\'s config (such as mmseg::...), but got {name}; pass the '
            'path of the checkpoint'
        )
    root = _mim(package)
    for metafile in load(str(root / 'model-index.yml'))['Import']:
        for model in load(str(root / metafile)).get('Models', []):
            if model.get('Config') == f'configs/{relative}' and model.get('Weights'):
                return model['Weights']
    raise ValueError(
        f'checkpoint="auto": no metafile of {package} names weights for {relative}; pass the path of the checkpoint'
    )


def flatten(node: Any, prefix: str) -> dict[str, Any]:
    """Nested dicts, and lists of dicts, as one flat dict with the dotted keys of ``--cfg-options``; None is left out.

    Args:
        node: Plain dicts, lists and values.
        prefix: Beginning of all keys.

    Example:
        >>> flatten(dict(optimizer=dict(lr=0.01), stages=[dict(depth=2)], seed=None), 'cfg')
        {'cfg.optimizer.lr': 0.01, 'cfg.stages.0.depth': 2}
    """
    if isinstance(node, list) and any(isinstance(item, dict) for item in node):
        node = dict(enumerate(node))
    if isinstance(node, dict) and node:
        return {key: leaf for name, value in node.items() for key, leaf in flatten(value, f'{prefix}.{name}').items()}
    return {} if node is None else {prefix: node}


def shown(value: Any) -> str:
    """A value of a config as text of at most 80 characters.

    Args:
        value: Value of a key; None if the key is not set.

    Example:
        >>> shown(0.00010), shown(None)
        ('0.0001', 'not set')
    """
    if value is None:
        return 'not set'
    text = f'{value:g}' if isinstance(value, float) else str(value)
    return text if len(text) <= 80 else f'{text[:77]}...'


def _mim(package: str) -> Path:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise FileNotFoundError(f'{package}:: needs the package {package}, which is not installed; install it')
    return Path(spec.origin).parent / '.mim'
