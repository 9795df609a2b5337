"""What is imported when, in fresh interpreters; what it takes is a matter of the machine."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TOOLS = sorted(path.name for path in (ROOT / 'tools').glob('*.py'))
HEAVY = {'torch', 'mmcv', 'mmseg.models', 'mmseg.datasets', 'mmengine.runner', 'matplotlib', 'transformers'}

# Each case runs in a fork of one interpreter that has imported what is not of OpenMMLab.
FORKS = """
import os, sys, traceback
import cv2, matplotlib.pyplot, torch, torch.distributed.optim
try:
    from transformers import Adafactor  # as MMEngine does
except ImportError:
    pass
def check(case):
    sys.stdout.flush()
    if os.fork():
        return os.wait()
    try:
        names = {}
        exec(case, names)
        from mmengine.runner import Runner
        from mmengine.runner.checkpoint import CheckpointLoader
        from mmseg.registry import MODELS
        assert hasattr(Runner.register_hooks, '__wrapped__') and hasattr(Runner.train, '__wrapped__')
        assert CheckpointLoader._get_checkpoint_loader('a.pth').__module__ == 'mmseg_kd.io.mmengine_files'
        assert MODELS.get('CWDLoss') is sys.modules['mmseg_kd'].losses.CWDLoss
        print('as it should be', flush=True)
    except BaseException:
        traceback.print_exc()
    sys.stderr.flush()
    os._exit(0)
for case in sys.argv[1:]:
    check(case)
"""
CASES = {
    'the package, then the Runner': 'import mmseg_kd; from mmengine.runner import Runner',
    'the Runner, then the package': 'from mmengine.runner import Runner; import mmseg_kd',
    'a name in a registry': 'import mmseg_kd\nfrom mmseg.registry import MODELS\nassert MODELS.get("Distiller")',
    'a name with its scope': 'from mmengine.registry import MODELS; assert MODELS.get("mmseg_kd.Distiller")',
    'an attribute': 'import mmseg_kd; assert mmseg_kd.Distiller.__name__ == "Distiller"',
    'a room': 'from mmseg_kd.distillers import Distiller',
    'a module that MMEngine imports': 'from mmseg_kd.engine.launch import load_config',
    'a data set, as a worker process unpickles it': (
        'import pickle; kind = pickle.loads(b"cmmseg_kd.datasets.camvid\\nCamVidDataset\\n."); assert kind.METAINFO'
    ),
    'pickles are read safely before': (
        'import mmseg_kd\nfrom mmengine.fileio.handlers.registry_utils import file_handlers\n'
        'for kind in ("pkl", "yml"):\n'
        '    assert type(file_handlers[kind]).__module__ == "mmseg_kd.io.mmengine_handlers"\n'
        'import sys; assert "mmseg_kd.distillers" not in sys.modules'
    ),
}


def imported(*arguments):
    """The modules that a fresh interpreter imports, and its output."""
    done = subprocess.run(
        [sys.executable, '-X', 'importtime', *map(str, arguments)], capture_output=True, text=True, env=dict(os.environ)
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return set(re.findall(r'^import time: +\d+ \| +\d+ \| +(\S+)$', done.stderr, re.MULTILINE)), done.stdout


@pytest.mark.process
def test_the_package_alone_imports_nothing_heavy():
    modules, _ = imported('-c', 'import mmseg_kd; mmseg_kd.__version__; mmseg_kd.config_file')
    assert {'mmseg_kd', 'mmseg_kd.deferred', 'mmengine.config'} <= modules and not modules & HEAVY


@pytest.mark.process
@pytest.mark.parametrize('tool', [name for name in TOOLS if name not in ('make_docs.py', 'torchrun.py')])
def test_a_tool_answers_help_before_it_imports_anything_heavy(tool):
    modules, output = imported(ROOT / 'tools' / tool, '--help')
    assert output.startswith(f'usage: {tool}') and not modules & HEAVY


FAST = ['the package, then the Runner', 'a room', 'pickles are read safely before']


@pytest.mark.process
@pytest.mark.parametrize(
    'names', [FAST, pytest.param([name for name in CASES if name not in FAST], marks=pytest.mark.slow)]
)
def test_whatever_comes_first_the_registration_is_complete_when_something_is_built(names):
    cases = [CASES[name] for name in names]
    done = subprocess.run([sys.executable, '-c', FORKS, *cases], capture_output=True, text=True)
    assert done.stdout.split('\n') == ['as it should be'] * len(cases) + [''], done.stdout + done.stderr[-3000:]


def test_unknown_attributes_are_refused():
    import mmseg_kd

    with pytest.raises(AttributeError, match="module 'mmseg_kd' has no attribute 'Distillery'"):
        mmseg_kd.Distillery  # noqa: B018
    assert {'Distiller', 'losses'} <= set(dir(mmseg_kd))
