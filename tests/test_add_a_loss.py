"""What the page on adding a loss says is done as it says it, in an empty folder."""

import math
import re
import subprocess
from pathlib import Path

import pytest
from fork_server import forked_environment
from mmengine.config import Config

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / 'docs' / 'add_a_loss.md').read_text(encoding='utf-8')
FILES = dict(re.findall(r'^`([\w/]+\.py)`\n\n```python\n(.*?)^```$', PAGE, re.DOTALL | re.MULTILINE))
COMMANDS = re.findall(r'^```bash\n(.*?)^```$', PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp('downstream')
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def sh(commands, cwd):
    """Run commands as a user types them; their output, with stderr."""
    done = subprocess.run(
        ['bash', '-e', '-c', commands],
        cwd=cwd,
        capture_output=True,
        text=True,
        env=forked_environment(MMSEG_KD=str(ROOT)),
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return done.stdout + done.stderr


def test_every_block_is_a_file_or_a_command():
    assert len(FILES) + len(COMMANDS) == PAGE.count('```') / 2
    assert len(COMMANDS) == 2


@pytest.mark.parametrize('name', [name for name in FILES if name.endswith('_loss.py') and name.startswith('my_kd')])
def test_a_loss_is_one_short_file(name):
    assert len(FILES[name].splitlines()) < 60


def test_its_tests_pass(folder):
    assert re.search(r'\d+ passed', sh(COMMANDS[0], folder))


def test_its_tests_find_a_wrong_formula(folder):
    wrong = {
        'my_kd/trusted_pixels_loss.py': ('trusted = teacher.argmax(1) == labels', 'trusted = labels != 255'),
        'my_kd/logit_l1_loss.py': ('.abs().mean()', '.abs().sum()'),
    }
    for name, change in wrong.items():
        assert change[0] in FILES[name]
        (folder / name).write_text(FILES[name].replace(*change))
    with pytest.raises(AssertionError) as failure:
        sh(COMMANDS[0], folder)
    for name in wrong:
        (folder / name).write_text(FILES[name])
    assert [
        f'::{test} ' in str(failure.value)
        for test in ('test_equals_the_formula[1.0]', 'test_equals_the_formula[3.0]', 'test_logit_l1_by_hand')
    ] == [True] * 3


def test_its_config_trains(folder):
    output = sh(COMMANDS[1], folder)
    assert 'Iter(train) [20/20]' in output
    for name in ('loss_l1', 'loss_trusted'):
        value = float(re.search(rf'{name}: (\S+)', output)[1])
        assert math.isfinite(value) and value > 0
    run = folder / 'work_dirs' / 'my_setup-trusted'
    flat = Config.fromfile(run / 'my_setup-trusted.py', import_custom_modules=False)
    assert list(flat.model.terms) == ['loss_l1', 'loss_trusted']
    assert flat.custom_imports.imports == ['mmseg_kd', 'my_kd'] and 'terms' not in flat
    student = run / 'student'
    assert sorted(path.name for path in student.iterdir()) == ['config.py', 'student.pth']
    exported = Config.fromfile(student / 'config.py', import_custom_modules=False)
    assert exported.custom_imports.imports == ['my_kd'] and exported.model.type == 'EncoderDecoder'
