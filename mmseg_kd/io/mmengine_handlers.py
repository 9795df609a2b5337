"""Make MMEngine read pickles and YAML files as this package does."""

from typing import Any, BinaryIO

import yaml
from mmengine.fileio import register_handler
from mmengine.fileio.handlers import PickleHandler, YamlHandler

from .trust import REMEDY, trusted

try:
    from yaml import CSafeLoader as SafeLoader
except ImportError:
    from yaml import SafeLoader  # type: ignore[assignment]


class SafePickleHandler(PickleHandler):
    """Loads pickles that hold data only.

    Example:
        >>> import io, pickle
        >>> SafePickleHandler().load_from_fileobj(io.BytesIO(pickle.dumps([1, 2])))
        [1, 2]
    """

    def load_from_fileobj(self, file: BinaryIO, **kwargs: Any) -> Any:
        from .safe_pickle import load_pickle

        return load_pickle(file)


class SafeYamlHandler(YamlHandler):
    """Loads YAML files without the tags that build objects of Python.

    Example:
        >>> import io
        >>> SafeYamlHandler().load_from_fileobj(io.StringIO('classes: [road, car]'))
        {'classes': ['road', 'car']}
    """

    def load_from_fileobj(self, file: Any, **kwargs: Any) -> Any:
        if trusted() or 'Loader' in kwargs:
            return super().load_from_fileobj(file, **kwargs)
        try:
            return yaml.load(file, Loader=_DataLoader)
        except yaml.constructor.ConstructorError as error:
            from .safe_pickle import UnsafeFileError

            name = getattr(file, 'name', 'the YAML file')
            raise UnsafeFileError(f'{name} could run code: {error.problem}; {REMEDY}') from None


class _DataLoader(SafeLoader):  # type: ignore[valid-type, misc]
    """YAML's safe loader, and tuples, which MMEngine writes."""


_DataLoader.add_constructor(
    'tag:yaml.org,2002:python/tuple', lambda loader, node: tuple(loader.construct_sequence(node, deep=True))
)


def install() -> None:
    """Register the readers of this package in place of MMEngine's. Repeated calls change nothing.

    Example:
        >>> from mmengine.fileio.handlers.registry_utils import file_handlers
        >>> install()
        >>> type(file_handlers['yml']).__name__
        'SafeYamlHandler'
    """
    register_handler(['pickle', 'pkl'])(SafePickleHandler)
    register_handler(['yaml', 'yml'])(SafeYamlHandler)
