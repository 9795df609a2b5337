"""Make ``mmseg_kd::`` and ``mmseg::`` known to MMEngine before any config is parsed, in every tool.

Python runs this module at startup, by a ``.pth`` file beside the installed package. The ``_base_`` of a config is read
before its ``custom_imports``, so the stock ``tools/train.py`` would otherwise learn of this package too late. Nothing
is imported here: a finder waits for ``mmengine.config.utils``, extends its table, and removes itself.

:func:`run_tool` is here as well, because tools call it before anything heavy is imported.
"""

import os
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
    """Set module names in place of distribution names, which is right for both publishers of the OpenMMLab packages.

    For ``mmseg_kd`` it is the name of a submodule: the package's own name would be read as that of the distribution,
    whose location is wrong after an editable install.
    """
    if 'mmseg_kd' in module.MODULE2PACKAGE:
        return
    module.MODULE2PACKAGE.update(mmseg='mmseg', mmpretrain='mmpretrain', mmseg_kd='mmseg_kd.stack')
    search = module._get_external_cfg_path

    def _get_external_cfg_path(package_path, cfg_file):
        # MMEngine reads all metafiles of the package first, some fifty, and then takes this file.
        path = os.path.join(package_path, '.mim', 'configs', cfg_file)
        return path if os.path.isfile(path) else search(package_path, cfg_file)

    module._get_external_cfg_path = _get_external_cfg_path


def run_tool(main, advice=''):
    """Run the main function of a tool; end with one line and status 2 if the user made a mistake.

    Ctrl-C (SIGINT) ends it with one line and status 130. Files are written atomically, so nothing is damaged.

    See :func:`mmseg_kd.io.errors.report`. ``--debug``, or the environment variable ``MMSEG_KD_DEBUG=1``, shows the
    traceback of mistakes too.
    """
    try:
        main()
    except Exception as error:
        try:
            from mmseg_kd.io.errors import report, wants_debug
        except ImportError:  # the package itself cannot be imported, which the first error is about
            raise error from None
        status = report(error, wants_debug(sys.argv))
    except KeyboardInterrupt:
        status = 130
        if os.environ.get('LOCAL_RANK', '0') == '0':
            print(f'\ninterrupted: {advice or "files that were being written are as before"}', file=sys.stderr)
    else:
        return
    sys.exit(status)


if TABLE not in sys.modules:
    sys.meta_path.insert(0, _Finder())
