"""Whether a config that somebody else wrote builds networks and data sets only.

MMEngine builds whatever a ``type`` names by its full path, also ``subprocess.Popen``.
"""

import inspect
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from mmengine import registry as mmengine_registries
from mmengine.registry import Registry
from mmengine.utils import get_object_from_string
from mmseg import registry as mmseg_registries
from torch import nn

from .safe_pickle import UnsafeFileError
from .trust import REMEDY, trusted

PACKAGES = ('mmseg_kd', 'mmseg', 'mmengine', 'mmcv', 'mmpretrain', 'mmdet')
# Where the classes of a package are registered, if importing the package alone does not do it.
MODULES = dict(mmpretrain='mmpretrain.models', mmdet='mmdet.models')
PARTS = ('model', 'val_dataloader')


def check_built_types(config: Any, name: str) -> None:
    """Check what building the model and the validation data of a config would call; nothing if files are trusted.

    Args:
        config: Config as nested dicts and lists. The modules in its ``custom_imports`` are imported if they belong to
            OpenMMLab's packages or to this one.
        name: Name of the config for error messages.

    Raises:
        UnsafeFileError: If a module to import, or the class of a ``type``, belongs to another package, or if it is no
            registered class.

    Example:
        >>> check_built_types(dict(model=dict(type='EncoderDecoder')), 'config.py')
        >>> check_built_types(dict(model=dict(type='subprocess.Popen', args=['ls'])), 'config.py')
        Traceback (most recent call last):
        ...
        mmseg_kd.io.safe_pickle.UnsafeFileError: config.py: model.type must name a registered class of mmseg_kd, ...
    """
    imports = (config.get('custom_imports') or {}).get('imports') or []
    for module in [imports] if isinstance(imports, str) else imports:
        if str(module).partition('.')[0] not in PACKAGES and not trusted():
            raise UnsafeFileError(f'{name}: custom_imports names {module}, a module that would run; {REMEDY}')
        import_module(module)
    if trusted():
        return
    for part in PARTS:
        for key, value in _entries(config.get(part), part):
            if key.endswith('.type') and not _is_class_of_ours(value):
                raise UnsafeFileError(
                    f'{name}: {key} must name a registered class of {", ".join(PACKAGES)}, but is {value}; {REMEDY}'
                )
            if key.endswith('.trust_remote_code') and value:
                raise UnsafeFileError(f'{name}: {key} would run code that comes with weights; {REMEDY}')


def _entries(node: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield f'{path}.{key}', value
            yield from _entries(value, f'{path}.{key}')
    elif isinstance(node, (list, tuple)):
        for number, value in enumerate(node):
            yield from _entries(value, f'{path}.{number}')


def _is_class_of_ours(name: Any) -> bool:
    if not isinstance(name, str):
        return False
    *scope, last = name.split('.')
    if len(scope) > 1:
        if scope[0] not in (*PACKAGES, 'torch'):
            return False
        found = get_object_from_string(name)
        return inspect.isclass(found) and (issubclass(found, nn.Module) or found in _registered().values())
    if scope and scope[0] not in PACKAGES:
        return False
    if scope and scope[0] in MODULES:
        try:
            import_module(MODULES[scope[0]])
        except ImportError:
            return False
    return inspect.isclass(_registered().get(last))


def _registered() -> dict[str, Any]:
    roots = [value for value in vars(mmengine_registries).values() if isinstance(value, Registry)]
    roots += [value for value in vars(mmseg_registries).values() if isinstance(value, Registry)]
    found: dict[str, Any] = {}
    for registry in roots:
        for each in (registry, *registry.children.values()):
            found.update(each.module_dict)
    return found
