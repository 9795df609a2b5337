"""The README and the pages promise only what is there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import mmseg
import pytest
import torch
from mmengine.config import Config
from mmseg.registry import HOOKS, MODELS, TASK_UTILS

from mmseg_kd.testing.toys import toy_segmentor
from mmseg_kd.testing.trees import write_camvid_tree

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / 'README.md').read_text(encoding='utf-8')
BLOCKS = re.findall(r'```python\n(.*?)```', README, re.DOTALL)


def expand(pattern):
    """What a shell makes of braces."""
    match = re.search(r'\{([^{}]*)\}', pattern)
    if match is None:
        return [pattern]
    return [
        path
        for choice in match[1].split(',')
        for path in expand(pattern[: match.start()] + choice + pattern[match.end() :])
    ]


PAGES = README + ''.join(page.read_text(encoding='utf-8') for page in sorted((ROOT / 'docs').glob('*.md')))
# A file of the reader, in add_a_loss.md, and what `make docs` builds.
PAGES = PAGES.replace('configs/trusted.py', '').replace('docs/_build/html', '')


@pytest.mark.parametrize(
    'pattern', sorted(set(re.findall(r'(?<![\w/])(?:configs/(?!my_)|(?:tools|docs|examples)/)[\w{},./*-]*', PAGES)))
)
def test_every_path_exists(pattern):
    for path in expand(pattern.rstrip('.')):
        assert list(ROOT.glob(path)), path


@pytest.mark.parametrize('name', sorted(set(re.findall(r'`(\w+(?:Loss|Weight|Adapter|Hook))`', PAGES))))
def test_every_class_is_registered(name):
    if name not in ('AdversarialLoss', 'DistillLoss'):  # the base classes
        assert any(registry.get(name) for registry in (MODELS, TASK_UTILS, HOOKS)), name


@pytest.mark.parametrize('target', ['demo', 'test'])
def test_the_two_commands_exist(target):
    assert f'make {target}' in README
    assert subprocess.run(['make', '-n', target], cwd=ROOT, capture_output=True).returncode == 0


MY_SEGMENTOR = """
default_scope = 'mmseg'
custom_imports = dict(imports=['my_networks'], allow_failed_imports=False)
custom_hooks = [dict(type='EMAHook')]
model = {model!r}
pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='RandomCrop', crop_size=(32, 32)),
            dict(type='PackSegInputs')]
train_dataloader = dict(
    batch_size=2, num_workers=0, sampler=dict(type='InfiniteSampler'),
    dataset=dict(type='BaseSegDataset', data_root='data', pipeline=pipeline,
                 data_prefix=dict(img_path='img_dir/train', seg_map_path='ann_dir/train'), metainfo=dict(classes=[*'abcdefghijk'])))
train_cfg = dict(type='IterBasedTrainLoop', max_iters=1)
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.01))
default_hooks = dict(logger=dict(type='LoggerHook', interval=1), checkpoint=dict(type='CheckpointHook', by_epoch=False))
"""
MY_NETWORKS = """
from mmseg.models import ResNetV1c
from mmseg.registry import MODELS

@MODELS.register_module()
class MyBackbone(ResNetV1c):
    pass
"""


def test_the_config_for_a_model_of_ones_own_trains_in_the_stock_tool_and_keeps_its_imports_and_hooks(tmp_path):
    (block,) = [block for block in BLOCKS if block.startswith("_base_ = './my_segmentor.py'")]
    student, teacher = toy_segmentor(4, num_classes=11), toy_segmentor(8, num_classes=11)
    student.backbone.type = 'MyBackbone'
    write_camvid_tree(tmp_path / 'data')
    folder = tmp_path / 'path' / 'to'
    folder.mkdir(parents=True)
    (folder / 'my_teacher.py').write_text(f'model = {teacher.to_dict()!r}')
    torch.save(MODELS.build(teacher).state_dict(), folder / 'my_teacher.pth')
    (tmp_path / 'my_networks.py').write_text(MY_NETWORKS)
    (tmp_path / 'my_segmentor.py').write_text(MY_SEGMENTOR.format(model=student.to_dict()))
    (tmp_path / 'mine.py').write_text(block)
    stock = Path(mmseg.__file__).parent / '.mim' / 'tools' / 'train.py'
    path = os.pathsep.join([str(tmp_path), os.environ.get('PYTHONPATH', '')])
    done = subprocess.run(
        [sys.executable, stock, 'mine.py'],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, 'PYTHONPATH': path, 'PYTHONWARNINGS': 'ignore'},
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, output[-3000:]
    hooks = {'EMAHook', 'TermWeightHook', 'NonFiniteLossHook', 'DistillSummaryHook', 'ExportStudentHook'}
    assert all(hook in output[output.index('Hooks will be executed') :] for hook in hooks)
    assert float(re.search(r'loss_pi: (\S+)', output)[1]) > 0
    exported = Config.fromfile(tmp_path / 'work_dirs' / 'mine' / 'student' / 'config.py', import_custom_modules=False)
    assert exported.model.backbone.type == 'MyBackbone' and exported.custom_imports.imports == ['my_networks']


def test_the_pages_show_the_same_config():
    (block,) = [block for block in BLOCKS if block.startswith("_base_ = './my_segmentor.py'")]
    assert block in (ROOT / 'docs' / 'own_model.md').read_text(encoding='utf-8')
    squeezed = ''.join(block.split())
    assert squeezed in ''.join((ROOT / 'docs' / 'index.md').read_text(encoding='utf-8').split())


def test_the_readme_is_short():
    assert len(README.splitlines()) < 120


COMMANDS = re.findall(
    r'(?:dist_train\.sh (configs/\S+) (\d+)|GPUS=(\d+).*slurm_train\.sh \S+ \S+ (configs/\S+))(.*)',
    PAGES.replace('\\\n', ' '),
)


@pytest.mark.parametrize('config, gpus, slurm_gpus, slurm_config, rest', COMMANDS)
def test_commands_for_several_gpus_keep_the_images_of_a_step(config, gpus, slurm_gpus, slurm_config, rest):
    found = Config.fromfile(ROOT / (config or slurm_config))
    each = re.search(r'train_dataloader\.batch_size=(\d+)', rest)
    assert each, 'names no batch size, so that each process takes that of one GPU'
    images = int(gpus or slurm_gpus) * int(each[1])
    # More images a step need a higher learning rate.
    assert images == found.auto_scale_lr.base_batch_size or 'auto_scale_lr.enable=True' in rest


def test_there_are_commands_for_four_and_eight_gpus():
    assert {int(gpus) for _, gpus, *_ in COMMANDS if gpus} >= {4, 8} and len(COMMANDS) >= 5


def test_links_of_the_changelog_are_relative_to_the_site():
    assert '](docs/' not in (ROOT / 'CHANGELOG.md').read_text(encoding='utf-8')
