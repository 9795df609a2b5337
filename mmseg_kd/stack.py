"""Make the two OpenMMLab distributions interchangeable.

The packages ``mmengine``, ``mmcv`` and ``mmseg`` are published twice: by OpenMMLab (``mmsegmentation``, ...) and by its
maintained continuation (``onedl-mmsegmentation``, ...). Their import names are equal, their distribution names are not,
and MMEngine resolves ``mmseg::...`` in ``_base_`` through distribution names. :func:`prepare` corrects that table.
"""

import sys
from importlib import metadata

from mmseg_kd_startup import TABLE, fill

STACKS = {
    'onedl': ('onedl-mmengine', 'onedl-mmcv', 'onedl-mmsegmentation'),
    'openmmlab': ('mmengine', 'mmcv', 'mmsegmentation'),
}


def installed_stack() -> str:
    """Name of the installed stack: ``'onedl'`` or ``'openmmlab'``.

    Raises:
        ImportError: if neither is complete, or parts of both are installed (they overwrite each other's files).
    """
    found = {stack: [d for d in names if _is_installed(d)] for stack, names in STACKS.items()}
    if all(found.values()):
        clash = ', '.join(found['onedl'] + found['openmmlab'])
        raise ImportError(
            'mmseg_kd needs one OpenMMLab stack, but parts of both are installed and overwrite each other '
            f'({clash}); keep one: pip uninstall -y {" ".join(found["openmmlab"])} && '
            'pip install --force-reinstall --no-deps ' + ' '.join(STACKS['onedl'])
        )
    for stack, names in STACKS.items():
        if len(found[stack]) == len(names):
            return stack
    stack = 'openmmlab' if found['openmmlab'] else 'onedl'
    missing = [d for d in STACKS[stack] if d not in found[stack]]
    raise ImportError(
        f'mmseg_kd needs an OpenMMLab stack, but {", ".join(missing)} is not installed: pip install "mmseg-kd[{stack}]"'
    )


def prepare() -> str:
    """Check the stack, and make ``mmseg::``, ``mmpretrain::`` and ``mmseg_kd::`` resolvable in ``_base_``.

    Returns:
        str: The installed stack, ``'onedl'`` or ``'openmmlab'``.

    Example:
        >>> from mmseg_kd.stack import prepare
        >>> prepare() in ('onedl', 'openmmlab')
        True
    """
    stack = installed_stack()
    if TABLE in sys.modules:  # otherwise, mmseg_kd_startup waits for it
        fill(sys.modules[TABLE])
    return stack


def _is_installed(distribution: str) -> bool:
    try:
        metadata.distribution(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True
