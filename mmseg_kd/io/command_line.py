"""Arguments that tools have in common, and the files that they name."""

import argparse
import ast
from pathlib import Path
from typing import Any

from mmengine.config import DictAction

from .configs import config_file
from .trust import add_trust_files

SETUPS, TERMS = 'mmseg_kd::_base_/setups', 'mmseg_kd::_base_/terms'
CONFIG_HELP = 'config file, as a path or mmseg_kd::kd/..., or the name of a setup in configs/_base_/setups'
TERMS_HELP = 'terms for a setup without terms: the name of a method in configs/_base_/terms, or the path of a file'


class Options(DictAction):
    """Read ``KEY=VALUE ...`` as MMEngine does, and dicts as well.

    A value with ``{`` is a literal of Python: ``key="[{'type': 'Resize'}]"``. MMEngine has no dicts, and does not end
    on one in a list. It removes the spaces of every value; here, those of a single word stay, as in
    ``data_root="my images"``.

    Example:
        >>> parser = argparse.ArgumentParser()
        >>> add_options(parser)
        >>> parser.parse_args(['--cfg-options', 'lr=0.1', "steps=[{'type': 'Resize'}]"]).cfg_options
        {'lr': 0.1, 'steps': [{'type': 'Resize'}]}
    """

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        options = dict(getattr(namespace, self.dest, None) or {})
        for entry in values:
            key, equals, value = entry.partition('=')
            if not equals or not key.strip():
                parser.error(f'{option_string} takes KEY=VALUE, but got {entry!r}')
            try:
                options[key.strip()] = parse_option(value)
            except (ValueError, SyntaxError, AssertionError):
                parser.error(
                    f'{option_string}: the value of {key} must be a number, a word, a list such as [1,2] or a literal '
                    f"of Python such as {{'type': 'Resize'}}, but is {value!r}; check its brackets and quotation marks"
                )
        setattr(namespace, self.dest, options)


def parse_option(value: str) -> Any:
    """The value of an option on the command line.

    Args:
        value: Text behind the ``=``.

    Raises:
        ValueError, SyntaxError: If a value with ``{`` is no literal of Python.
        AssertionError: If brackets do not match.

    Example:
        >>> [parse_option(text) for text in ('0.1', '1,2', 'my images', "[{'type': 'Resize'}]")]
        [0.1, [1, 2], 'my images', [{'type': 'Resize'}]]
    """
    if '{' in value:
        return ast.literal_eval(value.strip())
    if not any(sign in value for sign in '[](),'):
        return DictAction._parse_int_float_bool(value.strip('\'" '))
    return DictAction._parse_iterable(value)


def as_arguments(options: dict[str, Any]) -> list[str]:
    """The arguments of ``--cfg-options`` for options by dotted key. :func:`parse_option` makes the same values of them.

    Args:
        options: Values by dotted key.

    Raises:
        ValueError: If an option cannot have such a value.

    Example:
        >>> as_arguments({'optimizer.lr': 0.1, 'data_root': 'my images', 'sizes': [1, 2]})
        ['optimizer.lr=0.1', 'data_root=my images', 'sizes=[1,2]']
    """
    texts = []
    for key, value in options.items():
        text = _text(value)
        try:
            read = parse_option(text)
            passes = read == value and type(read) is type(value)
        except (ValueError, SyntaxError, AssertionError, RecursionError):  # brackets and quotation marks in words
            passes = False
        if not passes:
            raise ValueError(
                f'{key} must be a value that --cfg-options can pass on (numbers, words, lists and dicts of them), '
                f'but is {value!r}; write it into a config, and take that config'
            )
        texts.append(f'{key}={text}')
    return texts


def add_options(parser: argparse.ArgumentParser, what: str = 'of the config') -> None:
    """Add ``--cfg-options``.

    Args:
        parser: Parser of a tool.
        what: Which settings they override, for the help.
    """
    parser.add_argument(
        '--cfg-options', nargs='+', action=Options, default={}, metavar='KEY=VALUE', help=f'override settings {what}'
    )


def _text(value: Any) -> str:
    text = str(value)
    if isinstance(value, (list, tuple)):
        inner = ','.join(map(_text, value))
        text = f'[{inner}]' if isinstance(value, list) else f'({inner})'
    return repr(value) if '{' in text else text


def add_arguments(parser: argparse.ArgumentParser, config: bool = True) -> None:
    """The arguments that MMSegmentation's tools have in common.

    Args:
        parser: Parser of a tool.
        config: Whether to add the config and its terms too.
    """
    if config:
        parser.add_argument('config', help=CONFIG_HELP)
        parser.add_argument('--terms', help=TERMS_HELP)
    parser.add_argument(
        '--work-dir',
        help='folder for logs and checkpoints; by default work_dirs/<config>, plus -<terms> with --terms, plus _<part> '
        'if an option sets another partition',
    )
    add_options(parser, 'of the config, such as optim_wrapper.optimizer.lr=0.02 or key="[(a,b),(c,d)]"')
    add_trust_files(parser)
    parser.add_argument('--debug', action='store_true', help='show the traceback of every error')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none', help='job launcher')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help='set by torch.distributed.launch')


def add_training_arguments(parser: argparse.ArgumentParser, config: bool = True) -> None:
    """Add the arguments of a training to those of a tool.

    Args:
        parser: Parser of the tool.
        config: Whether to add the config and its terms too.
    """
    add_arguments(parser, config)
    parser.add_argument('--resume', action='store_true', help='resume from the latest checkpoint in the work directory')
    parser.add_argument('--amp', action='store_true', help='automatic mixed precision')


def setup_file(name: str) -> str:
    """The file of a setup or of any other config.

    Args:
        name: Path, ``package::relative/path.py``, or the name of a file in ``configs/_base_/setups`` without ``.py``.

    Raises:
        FileNotFoundError: If there is no such file.

    Example:
        >>> setup_file('r101_r18_voc12').endswith('configs/_base_/setups/r101_r18_voc12.py')
        True
    """
    return _shipped(name, SETUPS, 'config')


def terms_file(name: str) -> str:
    """The file of the terms of a method.

    Args:
        name: Path, ``package::relative/path.py``, or the name of a file in ``configs/_base_/terms`` without ``.py``.

    Raises:
        FileNotFoundError: If there is no such file.
    """
    return _shipped(name, TERMS, 'terms')


def check_files(args: argparse.Namespace) -> None:
    """Check that the files exist that a command line names, before imports that take seconds.

    Args:
        args: Parsed arguments with ``config`` and ``terms``.

    Raises:
        FileNotFoundError: If one does not exist.
    """
    setup_file(args.config)
    if args.terms is not None:
        terms_file(args.terms)


def _shipped(name: str, folder: str, what: str) -> str:
    if Path(name).name == name and not Path(name).suffix and not Path(name).is_file():
        return str(config_file(f'{folder}/{name}.py', what=what, shown=name))
    return str(config_file(name, what=what))
