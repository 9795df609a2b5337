"""Packaging. Configs and tools travel inside the package as ``mmseg_kd/.mim``, where MIM and ``mmseg_kd::`` look."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.editable_wheel import editable_wheel

ROOT = Path(__file__).resolve().parent
MIM_FILES = ('configs', 'tools', 'model-index.yml')
STARTUP = ('mmseg_kd_startup.pth', 'import mmseg_kd_startup\n')


class BuildWithMim(build_py):
    """Link the MIM files into the source tree for an editable install, copy them into a wheel."""

    def run(self):
        super().run()
        mim = (ROOT if self.editable_mode else Path(self.build_lib)) / 'mmseg_kd' / '.mim'
        shutil.rmtree(mim, ignore_errors=True)
        mim.mkdir(parents=True)
        for name in MIM_FILES:
            source = ROOT / name
            if self.editable_mode:
                (mim / name).symlink_to(Path('..', '..', name), target_is_directory=source.is_dir())
            elif source.is_dir():
                shutil.copytree(source, mim / name, ignore=shutil.ignore_patterns('__pycache__'))
            else:
                shutil.copy2(source, mim / name)
        if not self.editable_mode:
            Path(self.build_lib, STARTUP[0]).write_text(STARTUP[1])


class EditableWithStartup(editable_wheel):
    """Setuptools has no public way to add a .pth file of one's own to an editable install."""

    def _select_strategy(self, *args):
        strategy = super()._select_strategy(*args)
        call = type(strategy).__call__

        class WithStartup(type(strategy)):
            def __call__(self, wheel, files, mapping):
                call(self, wheel, files, mapping)
                wheel.writestr(*STARTUP)

        strategy.__class__ = WithStartup
        return strategy


setup(cmdclass={'build_py': BuildWithMim, 'editable_wheel': EditableWithStartup}, zip_safe=False)
