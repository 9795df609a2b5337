"""Find and read configs, and find published weights by name."""

from __future__ import annotations

import ast
import copy
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.config.lazy import LazyAttr, LazyObject
from mmengine.fileio import load
from mmengine.registry import Registry
from mmengine.utils import get_object_from_string
from mmseg import registry as registries

OWN = 'mmseg_kd'
# Their names are registered wherever MMSegmentation is imported; others need an import, which a full name brings along.
ALWAYS_REGISTERED = ('mmseg', 'mmengine', 'mmcv', 'torch', OWN)


def config_file(name: str) -> Path:
    """The file of a config given by path, or as ``package::relative/path.py``.

    Raises:
        FileNotFoundError: if it does not exist.
    """
    package, _, relative = name.rpartition('::')
    path = _mim(package) / 'configs' / relative if package else Path(name)
    if not path.is_file():
        raise FileNotFoundError(f'no such config: {name}')
    return path


def read_config(name: str) -> Config:
    """Read a config of either style of MMEngine; every ``type`` in it is a string.

    In the new style (``with read_base():``) types are classes, which no other part of this package has to know of.

    Args:
        name: path of the config, or ``package::relative/path.py``.

    Raises:
        FileNotFoundError: if it does not exist.
    """
    return with_names(Config.fromfile(config_file(name)))


def with_names(config: Config) -> Config:
    """A config in which every ``type`` is a string; itself where that is so already.

    Args:
        config: of either style of MMEngine.
    """
    written = config._to_lazy_dict()
    named = named_types(written)
    if named == written:
        return config
    named.setdefault('default_scope', 'mmseg')
    named['custom_imports'] = imports_with(named.get('custom_imports'), OWN)
    return Config(named, cfg_text=config.text, filename=config.filename)


def replaced_entries(file: Path) -> list[str]:
    """Hooks and imports that a config's bases have and the config has not, since it writes the list anew; one line a
    list.

    Args:
        file: of a config. Without ``_base_``, or where the list is written with the help of ``_base_``, nothing is
            replaced.
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
                    f'{file}: {key} replaces the list of its base, and {", ".join(lost)} with it; write '
                    f'{REMEDIES[key]} to keep what the base has'
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
    """``custom_imports`` of a config with one more module.

    Args:
        custom_imports: what the config has.
        module: name of the module.
    """
    known = _imports(dict(custom_imports=custom_imports))
    return dict(custom_imports or {}, imports=known if module in known else [*known, module])


def named_types(node: Any) -> Any:
    """A config, or a part of one, in which every ``type`` that is a class or function is spelled as a string.

    It is the short name of the registry where MMSegmentation's tools know it, and the full name elsewhere.

    Args:
        node: dict, list or single value.
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
        # A name with one dot may begin with a scope (mmpretrain.ResNet), which MMEngine resolves itself.
        if value.count('.') < 2 and not value.startswith(f'{OWN}.'):
            return value
        value = get_object_from_string(value) or value
    if not hasattr(value, '__qualname__'):
        return value
    if id(value) in known and value.__module__.split('.')[0] in ALWAYS_REGISTERED:
        return known[id(value)]
    return f'{value.__module__}.{value.__qualname__}'


def model_config(name: str) -> ConfigDict:
    """The segmentor of a config file; see :func:`segmentor_config`."""
    return segmentor_config(read_config(name))


def segmentor_config(config: Config) -> ConfigDict:
    """A copy of the segmentor that a config describes: its ``model``, or the student if that is a distiller.

    A segmentor without ``data_preprocessor`` gets that of the distiller or, as MMEngine's Runner does it, the one at
    the top level of the config.

    Raises:
        ValueError: if the config has no model.
    """
    if config.get('model') is None:
        raise ValueError(f'{config.filename or "the config"} has no model; add one, or name another config')
    network = copy.deepcopy(config.model.get('student') or config.model)
    preprocessor = outer_preprocessor(config)
    if network.get('data_preprocessor') is None and preprocessor is not None:
        network.data_preprocessor = copy.deepcopy(preprocessor)
    return network


def outer_preprocessor(config: Config) -> ConfigDict | None:
    """The data preprocessor of a config's networks that have none: the distiller's, or the one at the top level."""
    return (config.get('model') or {}).get('data_preprocessor') or config.get('data_preprocessor')


def published_weights(name: str) -> str:
    """Address of the weights that the library's metafile names for a config.

    Args:
        name: ``package::relative/path.py``.

    Raises:
        ValueError: if ``name`` is no such name, or the metafiles name no weights for it.
    """
    package, _, relative = name.rpartition('::')
    if not package:
        raise ValueError(
            f'checkpoint="auto" needs a config of a library (such as mmseg::...), but it is {name}; give the '
            'path of the checkpoint'
        )
    root = _mim(package)
    for metafile in load(str(root / 'model-index.yml'))['Import']:
        for model in load(str(root / metafile)).get('Models', []):
            if model.get('Config') == f'configs/{relative}' and model.get('Weights'):
                return model['Weights']
    raise ValueError(
        f'checkpoint="auto": no metafile of {package} names weights for {relative}; give the path of the checkpoint'
    )


def flatten(node: Any, prefix: str) -> dict[str, Any]:
    """Nested dicts, and lists of dicts, as one dict by dotted key (``--cfg-options`` has the same). None is left out.

    Args:
        node: plain.
        prefix: of all keys.
    """
    if isinstance(node, list) and any(isinstance(item, dict) for item in node):
        node = dict(enumerate(node))
    if isinstance(node, dict) and node:
        return {key: leaf for name, value in node.items() for key, leaf in flatten(value, f'{prefix}.{name}').items()}
    return {} if node is None else {prefix: node}


def shown(value: Any) -> str:
    """A value of a config, short enough for a line.

    Args:
        value: None is a key that is not set.
    """
    if value is None:
        return 'not set'
    text = f'{value:g}' if isinstance(value, float) else str(value)
    return text if len(text) <= 80 else f'{text[:77]}...'


def _mim(package: str) -> Path:
    spec = find_spec(package)
    if spec is None:
        raise FileNotFoundError(f'{package}:: names a package that is not installed')
    return Path(spec.origin).parent / '.mim'
