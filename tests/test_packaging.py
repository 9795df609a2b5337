import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    """The files of a wheel and of an editable install, built from a copy of the sources."""
    pytest.importorskip('setuptools', minversion='77')
    copy, out = tmp_path_factory.mktemp('package') / 'copy', tmp_path_factory.mktemp('wheels')
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns('.*', 'work_dirs', 'data', 'shared', '*.egg-info'))
    code = f'from setuptools import build_meta as b; b.build_wheel({str(out)!r}); b.build_editable({str(out / "e")!r})'
    (out / 'e').mkdir()
    subprocess.run([sys.executable, '-c', code], cwd=copy, check=True, capture_output=True)
    (wheel,), (editable,) = out.glob('*.whl'), (out / 'e').glob('*.whl')
    return zipfile.ZipFile(wheel).namelist(), zipfile.ZipFile(editable).namelist(), copy


@pytest.mark.process
def test_the_wheel_holds_what_the_package_reads(files):
    wheel, _, copy = files
    read = [path for path in (copy / 'mmseg_kd').rglob('*') if path.is_file() and '.mim' not in path.parts]
    assert {str(path.relative_to(copy)) for path in read if '__pycache__' not in path.parts} <= set(wheel)
    configs = {f'mmseg_kd/.mim/{path.relative_to(ROOT)}' for path in (ROOT / 'configs').rglob('*.py')}
    assert configs <= set(wheel) and {'mmseg_kd/.mim/model-index.yml', 'mmseg_kd/.mim/tools/train.py'} <= set(wheel)
    assert not any(name.split('/')[0] in ('tests', 'docs', 'examples') for name in wheel)


@pytest.mark.process
def test_either_way_of_installing_puts_the_startup_file_beside_the_package(files):
    wheel, editable, copy = files
    assert 'mmseg_kd_startup.pth' in wheel and 'mmseg_kd_startup.py' in wheel
    assert 'mmseg_kd_startup.pth' in editable
    assert (copy / 'mmseg_kd/.mim/configs').resolve() == (copy / 'configs').resolve()
