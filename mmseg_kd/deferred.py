"""Defer the imports that take seconds until something is built.

``import mmseg_kd`` alone imports neither PyTorch nor MMSegmentation's models, so that tools answer ``--help`` and wrong
command lines at once. The first import of anything that builds or runs models, in this package, in MMEngine or in
MMSegmentation, completes the registration. MMSegmentation's registries import its models before they look up a name.
"""

import contextlib
import io
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any

COMPLETE = 'mmseg_kd.registration'
PACKAGES = ('mmseg_kd', 'mmseg', 'mmengine')
# Modules that build nothing. They import no others at their top.
LIGHT = {
    'mmseg_kd': {'constants', 'deferred', 'io', 'stack', 'version'},
    'mmseg_kd.io': {'command_line', 'configs', 'errors', 'mmengine_handlers', 'rank_failures', 'trust'},
    'mmseg': {'registry', 'version'},
    'mmengine': {'config', 'fileio', 'logging', 'registry', 'utils', 'version'},
}
FILES = 'mmengine.fileio'
# Their imports warn of optional packages that are not installed.
NOISY = ('mmseg.models', 'mmseg.datasets')


def defer() -> None:
    """Complete the registration as soon as a module is imported that builds or runs models; at once if one is.

    MMEngine's readers of pickles and YAML files, which read configs as well, are replaced as soon as they are imported.
    """
    if any(map(is_heavy, list(sys.modules))):
        complete()
    else:
        sys.meta_path.insert(0, _After(lambda name: name == FILES, _replace_readers))
        sys.meta_path.insert(0, _After(is_heavy, complete))
        if FILES in sys.modules:
            _replace_readers()


def complete() -> None:
    """Complete the registration. Repeated calls change nothing."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, _After)]
    with quiet():
        for name in NOISY:
            import_module(name)
    _replace_readers()
    import_module(COMPLETE)


def is_heavy(name: str) -> bool:
    """Whether a module builds or runs models, so that its import completes the registration.

    Args:
        name: Full name of the module.

    Example:
        >>> is_heavy('mmengine.runner'), is_heavy('mmengine.config.config'), is_heavy('numpy')
        (True, False, False)
    """
    package, *parts = name.split('.')
    if package not in PACKAGES or not parts:
        return False
    if parts[0] not in LIGHT[package]:
        return True
    return f'{package}.{parts[0]}' in LIGHT and len(parts) > 1 and parts[1] not in LIGHT[f'{package}.{parts[0]}']


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Show no warnings of optional packages that are not installed."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.filterwarnings('ignore', message='Fail to import')
        yield


def _replace_readers() -> None:
    import_module('mmseg_kd.io.mmengine_handlers').install()


class _After:
    """A finder of imports that acts after the first module of a kind has been imported, with all that it imports.

    Args:
        waits_for: Whether a module, given by its full name, is of the kind.
        act: Function to call then.
    """

    def __init__(self, waits_for: Callable[[str], bool], act: Callable[[], None]) -> None:
        self._waits_for, self._act = waits_for, act
        self._importing = False

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: Any = None) -> ModuleSpec | None:
        if self._importing or not self._waits_for(name):
            return None
        self._importing = True
        try:
            spec = find_spec(name)
        finally:
            self._importing = False
        if spec is not None and spec.loader is not None:
            run = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                # What this module imports is not complete before, and others could not import from it.
                self._importing = True
                try:
                    with quiet():
                        run(module)
                finally:
                    self._importing = False
                if self in sys.meta_path:
                    sys.meta_path.remove(self)
                self._act()

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec
