"""A setup (student, teachers, data and schedule) with the terms of any method."""

import copy
import inspect
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmseg.registry import MODELS

from ..distillers import Distiller, SemiSupervisedDistiller
from ..io.command_line import setup_file, terms_file
from ..io.configs import imports_with, read_config
from ..io.errors import ConfigError

# Keys of a file of terms that become arguments of the distiller.
ARGUMENTS = ('terms', 'unlabeled_terms', 'mix', 'student')


class SetupError(ConfigError):
    """A setup and a file of terms that do not fit each other; the message is one line."""


def run_name(setup: str, terms: str | None) -> str:
    """The name of a run's folder and config.

    Args:
        setup: Name or path of the setup.
        terms: Name or path of the terms.

    Example:
        >>> run_name('mmseg_kd::_base_/setups/r101_r18_voc12.py', 'cwd')
        'r101_r18_voc12-cwd'
    """
    return '-'.join(Path(name).name.removesuffix('.py') for name in (setup, terms) if name)


def read_setup(setup: str, terms: str | None = None) -> Config:
    """Read a config, or combine a setup with the terms of a method into one flat config.

    A file of terms is a config with ``terms``, the terms of the distiller. It may also have ``unlabeled_terms``,
    ``mix`` and ``distiller`` (the type of the model) for semi-supervised distillation, ``student`` (changes of the
    student), ``critic_optim_wrapper`` (the optimizer of auxiliary modules), ``semi_hooks`` (more hooks) and
    ``custom_imports``.

    Args:
        setup: Setup or other config, as in :func:`~mmseg_kd.io.command_line.setup_file`.
        terms: Path, ``package::relative/path.py``, or the name of a file in ``configs/_base_/terms`` without ``.py``.

    Raises:
        FileNotFoundError: if a file does not exist.
        SetupError: if the config needs terms and none are given, or if the terms do not fit it.
    """
    config = read_config(setup_file(setup))
    if terms is None:
        if _lacks_terms(config):
            raise SetupError(f'{setup} is a setup without terms; name the terms of a method, such as --terms cwd')
        return config
    method = read_config(terms_file(terms))
    _check(setup, config, terms, method)
    combined = copy.deepcopy(config)
    distiller = method.get('distiller', config.model.type)
    if 'teacher' not in inspect.signature(MODELS.get(distiller).__init__).parameters:
        combined.model.pop('teacher', None)
    model = dict(type=distiller, **{key: method[key] for key in ARGUMENTS if key in method})
    combined.merge_from_dict(dict(model=model, optim_wrapper=method.get('critic_optim_wrapper', {})))
    combined.custom_hooks = [*(config.get('custom_hooks') or []), *method.get('semi_hooks', [])]
    modules = (method.get('custom_imports') or {}).get('imports', [])
    for module in [modules] if isinstance(modules, str) else modules:
        combined.custom_imports = imports_with(combined.get('custom_imports'), module)
    # MMEngine stores the config in the run's folder under its file name, so the combined config needs one.
    return Config(combined._cfg_dict, cfg_text=config.text, filename=f'{run_name(setup, terms)}.py')


def _kind(config: Config) -> Any:
    kind = (config.get('model') or {}).get('type')
    kind = MODELS.get(kind) if isinstance(kind, str) else kind
    return kind if inspect.isclass(kind) else None


def _distils(config: Config) -> bool:
    kind = _kind(config)
    return kind is not None and issubclass(kind, Distiller) and 'student' in config.model


def _lacks_terms(config: Config) -> bool:
    return _distils(config) and not (config.model.get('terms') or config.model.get('unlabeled_terms'))


def _check(setup: str, config: Config, terms: str, method: Config) -> None:
    if not _distils(config):
        kind = (config.get('model') or {}).get('type')
        raise SetupError(
            f'--terms needs a config whose model is a distiller, but the model of {setup} is {kind}; write '
            "model = dict(type='Distiller', student=..., teacher=...)"
        )
    if not _lacks_terms(config):
        own = [*(config.model.get('terms') or {}), *(config.model.get('unlabeled_terms') or {})]
        raise SetupError(
            f'--terms needs a setup without terms, but {setup} has {", ".join(own)}; leave out --terms, or remove these'
        )
    if 'model' in method or not ('terms' in method or 'unlabeled_terms' in method):
        raise SetupError(f'--terms needs a file that has terms = dict(...) and no model, but {terms} does not')
    semi = issubclass(_kind(config), SemiSupervisedDistiller)
    if semi != ('unlabeled_terms' in method):
        kinds = ('supervised', 'semi-supervised')
        raise SetupError(
            f'{setup} is a {kinds[semi]} setup, but the terms of {terms} are {kinds[not semi]}; take '
            f'{"terms" if semi else "a setup"} whose name starts with semi_'
        )
