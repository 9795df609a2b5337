"""Packaging. Configs and tools travel inside the package as ``mmseg_kd/.mim``, where MIM and ``mmseg_kd::`` look."""
import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py
from setuptools.command.editable_wheel import editable_wheel

ROOT = Path(__file__).resolve().parent
MIM_FILES = ('configs', 'tools', 'model-index.yml')
STARTUP = ('mmseg_kd_startup.pth', 'import mmseg_kd_startup\n')


def requirements(name):
    return [line for line in (ROOT / 'requirements' / f'{name}.txt').read_text().splitlines() if line]


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


setup(
    name='mmseg-kd',
    version=re.search(r"'(.+)'", (ROOT / 'mmseg_kd' / 'version.py').read_text())[1],
    description='Knowledge distillation for MMSegmentation',
    long_description=(ROOT / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    py_modules=['mmseg_kd_startup'],
    packages=find_packages(include=['mmseg_kd', 'mmseg_kd.*']),
    package_data={'mmseg_kd.comparison': ['*.jinja'], 'mmseg_kd.datasets': ['partition_lists/*/*.txt']},
    python_requires='>=3.10',
    install_requires=requirements('runtime'),
    extras_require={
        name: requirements(name)
        for name in ('onedl', 'openmmlab', 'demo', 'report', 'sweep', 'cost', 'export', 'hf', 'tests')
    },
    cmdclass={'build_py': BuildWithMim, 'editable_wheel': EditableWithStartup},
    zip_safe=False,
)
