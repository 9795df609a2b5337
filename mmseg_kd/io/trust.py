"""The switch that lets files of a trusted author do more than hold data."""

import argparse
import os
from typing import Any

TRUST = 'MMSEG_KD_TRUST_FILES'
REMEDY = f'if you trust its author, pass --trust-files, or set {TRUST}=1 for other tools'


class TrustFiles(argparse.Action):
    """The flag ``--trust-files``. It sets the environment variable, which processes of the tool inherit.

    Example:
        >>> parser = argparse.ArgumentParser()
        >>> _ = parser.add_argument('--trust-files', action=TrustFiles)
        >>> parser.parse_args([]).trust_files
        False
    """

    def __init__(self, option_strings: list[str], dest: str, **kwargs: Any) -> None:
        super().__init__(option_strings, dest, nargs=0, default=False, **kwargs)

    def __call__(self, parser: Any, namespace: argparse.Namespace, values: Any, option_string: Any = None) -> None:
        setattr(namespace, self.dest, True)
        os.environ[TRUST] = '1'


def add_trust_files(parser: argparse.ArgumentParser) -> None:
    """Add ``--trust-files`` to the arguments of a tool that reads files.

    Args:
        parser: Parser of the tool.

    Example:
        >>> parser = argparse.ArgumentParser()
        >>> add_trust_files(parser)
        >>> parser.parse_args([]).trust_files
        False
    """
    parser.add_argument(
        '--trust-files',
        action=TrustFiles,
        help='let checkpoints and other files that the tool reads run code; for files of an author whom you trust',
    )


def trusted() -> bool:
    """Whether files may run code: the environment variable ``MMSEG_KD_TRUST_FILES`` is 1.

    Example:
        >>> trusted()
        False
    """
    return os.environ.get(TRUST) == '1'
