"""Make ``mmseg_kd::`` and ``mmseg::`` known to MMEngine before any config is parsed, whichever tool parses it.

Python runs this at startup, by a ``.pth`` file beside the installed package: the ``_base_`` of a config is read before
its ``custom_imports``, so that stock ``tools/train.py`` would learn of this package too late. Nothing is imported here;
a finder waits for ``mmengine.config.utils``, fills in its table, and goes away.
"""

import sys
from importlib.util import find_spec

TABLE = 'mmengine.config.utils'


class _Finder:
    def find_spec(self, name, path=None, target=None):
        if name != TABLE:
            return None
        sys.meta_path.remove(self)
        spec = find_spec(name)
        if spec is not None and spec.loader is not None:
            run = spec.loader.exec_module

            def exec_module(module):
                run(module)
                from mmseg_kd_startup import fill

                fill(module)

            spec.loader.exec_module = exec_module
        return spec


def fill(module):
    """Module names in place of distribution names: right for OpenMMLab's own packages and for their continuation.

    For ``mmseg_kd`` it is a submodule's: the name of the package is taken for that of the distribution, whose location
    is misleading after an editable install.
    """
    module.MODULE2PACKAGE.update(mmseg='mmseg', mmpretrain='mmpretrain', mmseg_kd='mmseg_kd.stack')


if TABLE not in sys.modules:
    sys.meta_path.insert(0, _Finder())
