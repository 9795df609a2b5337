"""Find configs and published weights by name."""
from __future__ import annotations

import copy
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Dict

from mmengine.config import Config, ConfigDict
from mmengine.fileio import load


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


def model_config(name: str) -> ConfigDict:
    """The segmentor of a config file; see :func:`segmentor_config`."""
    return segmentor_config(Config.fromfile(config_file(name)))


def segmentor_config(config: Config) -> ConfigDict:
    """A copy of the segmentor that a config describes: its ``model``, or the student if that is a distiller.

    A segmentor without ``data_preprocessor`` gets that of the distiller or, as MMEngine's Runner does it, the one at the
    top level of the config.

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
        raise ValueError(f'checkpoint="auto" needs a config of a library (such as mmseg::...), but it is {name}; give the '
                         'path of the checkpoint')
    root = _mim(package)
    for metafile in load(str(root / 'model-index.yml'))['Import']:
        for model in load(str(root / metafile)).get('Models', []):
            if model.get('Config') == f'configs/{relative}' and model.get('Weights'):
                return model['Weights']
    raise ValueError(f'checkpoint="auto": no metafile of {package} names weights for {relative}; give the path of the '
                     'checkpoint')


def flatten(node: Any, prefix: str) -> Dict[str, Any]:
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
