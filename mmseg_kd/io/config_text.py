"""Written configs, read as data: MMEngine writes them into run folders and checkpoints."""

import ast
import math
from pathlib import Path
from typing import Any

from mmengine.config import Config

from .safe_pickle import UnsafeFileError
from .trust import REMEDY, trusted

NUMBERS = dict(inf=math.inf, nan=math.nan)
# MMEngine writes a class by its name.
BUILTIN_TYPES = ('bool', 'bytes', 'complex', 'dict', 'float', 'int', 'list', 'set', 'str', 'tuple', 'type')
PATHS = ('Path', 'PosixPath', 'PurePosixPath', 'WindowsPath', 'PureWindowsPath')
SHOWN = 60  # characters of code in a message


def read_written_config(path: str | Path) -> dict[str, Any]:
    """Read the config that MMEngine wrote into a run folder. It is not executed, unless files are trusted.

    Args:
        path: Path of the file.

    Raises:
        OSError: If the file cannot be read.
        UnsafeFileError: If the file holds more than assignments of literals and of ``dict(...)``.
        ValueError: If it is not Python.

    Example:
        >>> Config(dict(model=dict(type='EncoderDecoder'), betas=(0.9, 0.999))).dump('config.py')
        >>> read_written_config('config.py')
        {'betas': (0.9, 0.999), 'model': {'type': 'EncoderDecoder'}}
    """
    if trusted():
        return Config.fromfile(path, import_custom_modules=False)._cfg_dict.to_dict()
    return read_config_text(Path(path).read_text(encoding='utf-8'), str(path))


def read_config_text(text: str, name: str) -> dict[str, Any]:
    """Read the text of a written config, without executing it.

    Args:
        text: Assignments of literals and of ``dict(...)``. The name of a class becomes a string.
        name: Name of the text for error messages.

    Raises:
        UnsafeFileError: If the text holds anything else, such as an import or a lambda.
        ValueError: If it is not Python.

    Example:
        >>> read_config_text('lr = -1.5', 'config.py')
        {'lr': -1.5}
        >>> read_config_text('import os', 'config.py')
        Traceback (most recent call last):
        ...
        mmseg_kd.io.safe_pickle.UnsafeFileError: config.py, line 1: code ("import os") in a config that is read as ...
    """
    try:
        tree = ast.parse(text)
        found: dict[str, Any] = {}
        for node in tree.body:
            target = node.targets[0] if isinstance(node, ast.Assign) and len(node.targets) == 1 else None
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                continue
            # A base would be another file to run.
            if not isinstance(node, ast.Assign) or not isinstance(target, ast.Name) or target.id == '_base_':
                raise _CodeError(node)
            found[target.id] = _value(node.value)
        return found
    except _CodeError as error:
        code = ' '.join(ast.unparse(error.node).split())
        code = code if len(code) <= SHOWN else f'{code[:SHOWN]}...'
        raise UnsafeFileError(
            f'{name}, line {getattr(error.node, "lineno", 0)}: code ("{code}") in a config that is read as data, so it '
            f'was not executed; {REMEDY}'
        ) from None
    except (SyntaxError, RecursionError, MemoryError, TypeError) as error:
        raise ValueError(f'{name} is not a config that MMEngine writes: {error}') from None


class _CodeError(Exception):
    def __init__(self, node: ast.AST) -> None:
        super().__init__()
        self.node = node


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.List):
        return [_value(item) for item in node.elts]
    if isinstance(node, ast.Tuple):
        return tuple(_value(item) for item in node.elts)
    if isinstance(node, ast.Set):
        return {_value(item) for item in node.elts}
    if isinstance(node, ast.Dict) and all(node.keys):
        return {_value(key): _value(value) for key, value in zip(node.keys, node.values) if key is not None}
    if isinstance(node, ast.Call):
        return _call(node)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        value = _value(node.operand)
        if isinstance(value, (int, float)):
            return -value if isinstance(node.op, ast.USub) else value
    if isinstance(node, ast.Name) and node.id in NUMBERS:
        return NUMBERS[node.id]
    if isinstance(node, ast.Name) and node.id in BUILTIN_TYPES:
        return node.id
    if isinstance(node, ast.Attribute):
        return _dotted(node, node)
    raise _CodeError(node)


def _call(node: ast.Call) -> Any:
    function = node.func.id if isinstance(node.func, ast.Name) else ''
    if function == 'dict' and len(node.args) <= 1:
        values = [_value(item) for item in node.args]
        for keyword in node.keywords:
            value = _value(keyword.value)
            values.append(value if keyword.arg is None else {keyword.arg: value})
        if all(isinstance(value, dict) for value in values):
            return {key: item for value in values for key, item in value.items()}
    if function in PATHS and len(node.args) == 1 and not node.keywords and isinstance(node.args[0], ast.Constant):
        return str(node.args[0].value)
    raise _CodeError(node)


def _dotted(node: ast.expr, whole: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f'{_dotted(node.value, whole)}.{node.attr}'
    if isinstance(node, ast.Name):
        return node.id
    raise _CodeError(whole)
