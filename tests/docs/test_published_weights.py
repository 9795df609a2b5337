from pathlib import Path

import pytest
from mmengine.config import Config
from mmseg.registry import MODELS

from mmseg_kd.io.checkpoint import load_weights

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / 'docs/benchmarks/teachers').glob('*.pth'))
STUDENTS = sorted(path.parent for path in (ROOT / 'docs/benchmarks/students').glob('*/student.pth'))


@pytest.mark.parametrize('path', FILES, ids=lambda path: path.stem)
def test_published_weights_are_small_and_fit_their_config(path):
    pytest.importorskip('timm')
    assert path.stat().st_size < 10e6
    network = MODELS.build(Config.fromfile(ROOT / f'configs/camvid/{path.stem}.py').model)
    before = network.decode_head.conv_seg.bias.sum().item()
    load_weights(network, str(path))  # refuses missing and unexpected weights
    assert network.decode_head.conv_seg.bias.sum().item() != before


@pytest.mark.parametrize('folder', STUDENTS, ids=lambda path: path.name)
def test_published_students_are_small_and_need_neither_teacher_nor_paths_of_one_machine(folder):
    pytest.importorskip('timm')
    assert (folder / 'student.pth').stat().st_size < 10e6
    config = Config.fromfile(folder / 'config.py')
    network = MODELS.build(config.model)
    load_weights(network, str(folder / 'student.pth'))  # refuses missing and unexpected weights
    assert config.model.type == 'EncoderDecoder' and 'custom_imports' not in config
    assert config.test_dataloader.dataset.data_root == 'data/camvid'


def test_the_command_of_the_real_demo_names_files_that_exist():
    text = (ROOT / 'Makefile').read_text()
    (teacher,) = [line for line in text.splitlines() if line.startswith('TEACHER =')]
    (student,) = [line for line in text.splitlines() if line.startswith('STUDENT =')]
    config, _, weights = teacher.split()[2:]
    assert all((ROOT / path).is_file() for path in (config, weights, student.split()[2]))
    (short,) = [line for line in text.splitlines() if line.startswith('SHORT =')]
    assert 'train_cfg.max_iters=1200' in short and text.count('$(SHORT)') == 2 and 'baseline/iter_1200.pth' in text
    assert 1200 % Config.fromfile(ROOT / student.split()[2]).default_hooks.checkpoint.interval == 0
