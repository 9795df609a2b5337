"""The README promises only what is there."""
import re
import subprocess
from pathlib import Path

import pytest
from mmengine.config import Config
from mmseg.registry import HOOKS, MODELS, TASK_UTILS

from mmseg_kd.testing.toys import toy_runner, toy_segmentor

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / 'README.md').read_text(encoding='utf-8')
BLOCKS = re.findall(r'```python\n(.*?)```', README, re.DOTALL)


def expand(pattern):
    """What a shell makes of braces."""
    match = re.search(r'\{([^{}]*)\}', pattern)
    if match is None:
        return [pattern]
    return [path for choice in match[1].split(',') for path in expand(pattern[:match.start()] + choice + pattern[match.end():])]


PAGES = README + ''.join((ROOT / 'docs' / f'{name}.md').read_text(encoding='utf-8')
                         for name in ('few_labels', 'no_labels', 'data', 'papers'))


@pytest.mark.parametrize('pattern', sorted(set(re.findall(r'(?<![\w/])(?:configs|tools|docs)/[\w{},./*-]*', PAGES))))
def test_every_path_exists(pattern):
    for path in expand(pattern.rstrip('.')):
        assert list(ROOT.glob(path)), path


@pytest.mark.parametrize('name', sorted(set(re.findall(r'`(\w+(?:Loss|Weight|Adapter|Hook))`', README))))
def test_every_class_is_registered(name):
    assert any(registry.get(name) for registry in (MODELS, TASK_UTILS, HOOKS)), name


@pytest.mark.parametrize('target', ['demo', 'test'])
def test_the_two_commands_exist(target):
    assert f'make {target}' in README
    assert subprocess.run(['make', '-n', target], cwd=ROOT, capture_output=True).returncode == 0


def test_the_config_for_a_model_of_ones_own_trains(tmp_path, monkeypatch):
    block, = [block for block in BLOCKS if block.startswith("_base_ = './my_segmentor.py'")]
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'my_segmentor.py').write_text(f'model = {toy_segmentor(4).to_dict()!r}')
    (tmp_path / 'path' / 'to').mkdir(parents=True)
    (tmp_path / 'path' / 'to' / 'my_teacher.py').write_text(f'model = {toy_segmentor(8).to_dict()!r}')
    teacher = toy_runner(toy_segmentor(8), tmp_path / 'teacher', max_iters=1)
    teacher.train()
    (tmp_path / 'teacher' / 'iter_1.pth').rename(tmp_path / 'path' / 'to' / 'my_teacher.pth')
    (tmp_path / 'mine.py').write_text(block)
    config = Config.fromfile('mine.py')
    runner = toy_runner(config.model, tmp_path / 'mine', max_iters=1, custom_hooks=config.custom_hooks)
    runner.train()
    assert runner.message_hub.get_scalar('train/loss_pi').current() > 0
    assert (tmp_path / 'mine' / 'student' / 'student.pth').exists()
