"""What the tutorial says is done as it says it, in an empty folder, with fewer iterations."""

import argparse
import importlib.util
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import cv2
import mmcv
import numpy as np
import pytest
import torch
from fork_server import forked_environment
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.apis import init_model
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from mmseg_kd import config_file
from mmseg_kd.datasets import write_digit_scenes
from mmseg_kd.io.configs import model_config
from mmseg_kd.sweep.plan import load_sweep
from mmseg_kd.testing.trees import write_voc12aug_tree

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / 'docs' / 'tutorial.md').read_text(encoding='utf-8')
BLOCKS = re.findall(r'^```bash\n(.*?)^```$', PAGE, re.DOTALL | re.MULTILINE)
FILES = dict(re.findall(r'`(\w+\.py)`:\n\n```python\n(.*?)^```$', PAGE, re.DOTALL | re.MULTILINE))
COMMANDS = [line for block in BLOCKS for line in block.splitlines()]

QUICK = 'default_hooks.logger.interval=1 train_dataloader.batch_size=2'
ITERATIONS = f'{QUICK} train_cfg.max_iters=2 train_cfg.val_interval=2 default_hooks.checkpoint.interval=2'
NO_WORKERS = ' '.join(
    f'{name}_dataloader.num_workers=0 {name}_dataloader.persistent_workers=False' for name in ('val', 'test')
)
ALONE = f'{QUICK} train_dataloader.num_workers=0 train_dataloader.persistent_workers=False {NO_WORKERS}'
EPOCHS = f'--cfg-options train_cfg.max_epochs=1 {ALONE}'
SWEEP = '--cfg-options budget.value=1 options.train_dataloader.batch_size=2 options.default_hooks.logger.interval=1'

# What is added to a command of the page to shorten it; it comes last, and what it sets, it sets anew.
FAST = {
    'python tools/train.py configs/compact/both_digits.py': f'--cfg-options {ITERATIONS}',
    'python tools/sweep.py configs/sweeps/compact_digits.py': f'{SWEEP} seeds=[0] stages.0.candidates=[none]',
    'python tools/compare.py work_dirs/compact_digits/final --out work_dirs/compact_digits/comparison '
    '--predictions 3': '',
    'python tools/show_predictions.py configs/compact/both_digits.py work_dirs/both_digits/student/student.pth '
    '--count 4': '',
    'python tools/test.py work_dirs/both_digits/student/config.py work_dirs/both_digits/student/student.pth': '',
}
SLOW = {
    'python tools/doctor.py configs/compact/both_digits.py': '--images 2 --samples 2 --seconds 0.01',
    'python tools/sweep.py configs/sweeps/compact_digits.py --dry-run': SWEEP,
    'python tools/sweep.py my_sweep.py': f'{SWEEP} stages.0.candidates=[none] stages.1.seeds=[0]',
    'python tools/compare.py work_dirs/my_sweep/final': '',
    'python tools/cost.py configs/compact/both_digits.py --out work_dirs/both_digits/cost': '--seconds 0.01 --batches 1',
    'OMP_NUM_THREADS=1 python benchmarks/compact.py --size 224x224 --batches 1 16': '--size 33x65 --batches 1 --seconds 0.01',
}
VOC = {
    'python -c "from torchvision.models.segmentation import fcn_resnet50 as fcn; '
    "fcn(weights='COCO_WITH_VOC_LABELS_V1')\"": '',
    'python tools/convert_torchvision_fcn.py ~/.cache/torch/hub/checkpoints/fcn_resnet50_coco-1167a1af.pth '
    'work_dirs/fcn_r50_voc12/torchvision.pth': '',
    'python tools/test.py configs/compact/fcn_r50_voc12.py work_dirs/fcn_r50_voc12/torchvision.pth': f'--cfg-options {NO_WORKERS}',
    'python tools/doctor.py configs/compact/both_voc12.py': f'--images 1 --samples 2 --seconds 0.01 --cfg-options {ALONE}',
    **{
        f'python tools/train.py configs/compact/{way}_voc12.py --cfg-options randomness.seed=0': EPOCHS
        for way in ('none', 'feature', 'response', 'both')
    },
    'python tools/compare.py work_dirs/{none,feature,response,both}_voc12 --out work_dirs/comparison_voc12': '',
    'python tools/show_predictions.py configs/compact/both_voc12.py work_dirs/both_voc12/student/student.pth': '',
    'python tools/test.py work_dirs/both_voc12/student/config.py work_dirs/both_voc12/student/student.pth': f'--cfg-options {NO_WORKERS}',
}
# `make demo` is tested with the demo; its data and teacher are put where it leaves them. `to_onnx.py` is run below.
ELSEWHERE = ['make demo', 'source .venv/bin/activate', 'python to_onnx.py']
# What the downloading command finds already there.
DOWNLOADED = '.cache/torch/hub/checkpoints/fcn_resnet50_coco-1167a1af.pth'


@pytest.fixture(scope='module')
def checkout(tmp_path_factory):
    """The repository as `make demo` leaves it, with random weights in place of a trained teacher."""
    folder = tmp_path_factory.mktemp('checkout')
    for name in ('benchmarks', 'configs', 'tools'):
        (folder / name).symlink_to(ROOT / name)
    for name, text in FILES.items():
        (folder / name).write_text(text)
    pytest.importorskip('sklearn')
    write_digit_scenes(folder / 'data' / 'digit_scenes', num_train=8, num_val=8)
    teacher = folder / 'work_dirs' / 'demo' / 'teacher' / 'iter_800.pth'
    teacher.parent.mkdir(parents=True)
    torch.manual_seed(0)
    init_default_scope('mmseg')
    torch.save(dict(state_dict=MODELS.build(model_config('mmseg_kd::demo/teacher.py')).state_dict()), teacher)
    return folder


@pytest.fixture(scope='module')
def voc(checkout):
    """VOC in small, and random weights in half precision as torchvision would have downloaded them."""
    models = pytest.importorskip('torchvision.models.segmentation', exc_type=Exception)
    write_voc12aug_tree(checkout / 'data' / 'VOCdevkit' / 'VOC2012', images=3)
    weights = checkout / DOWNLOADED
    weights.parent.mkdir(parents=True)
    torch.manual_seed(0)
    network = models.fcn_resnet50(weights=None, weights_backbone=None, num_classes=21, aux_loss=True)
    torch.save(network.half().state_dict(), weights)
    return checkout


def sh(command, folder):
    """Run a command as a user types it, at home in the folder; its output, with stderr."""
    settings = forked_environment(HOME=str(folder))
    for name in ('TORCH_HOME', 'XDG_CACHE_HOME'):
        settings.pop(name, None)
    done = subprocess.run(['bash', '-c', command], cwd=folder, capture_output=True, text=True, env=settings)
    output = done.stdout + done.stderr
    assert done.returncode == 0, output[-3000:]
    return output


def words(command):
    """The arguments of a command: those after the script."""
    parts = shlex.split(command)
    return parts[parts.index('python') + 1 :]


def test_every_block_is_a_file_or_commands_that_are_run():
    assert len(BLOCKS) + len(FILES) == PAGE.count('```') / 2
    assert sorted(COMMANDS) == sorted([*FAST, *SLOW, *VOC, *ELSEWHERE])
    assert sorted(FILES) == ['my_sweep.py', 'to_onnx.py']


def test_the_demo_leaves_what_the_page_takes_from_it():
    assert f'`{Config.fromfile(config_file("mmseg_kd::compact/both_digits.py")).model.teacher.checkpoint}`' in PAGE
    done = subprocess.run(['make', '-n', 'demo'], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and '.venv/bin/python examples/demo.py' in done.stdout


class Parsed(BaseException):
    """A command line has been read."""


@pytest.mark.parametrize('command', [command for command in (*SLOW, *VOC) if '.py' in command])
def test_what_takes_long_names_what_there_is(command, checkout, monkeypatch):
    """The fast check beside the slow one: its options are the tool's, its configs are there, and have its keys."""

    def parse(parser, *_):
        raise Parsed(original(parser))

    original = argparse.ArgumentParser.parse_args
    monkeypatch.chdir(checkout)
    script, *arguments = words(command)
    with monkeypatch.context() as patch, pytest.raises(Parsed) as caught:
        patch.setattr(argparse.ArgumentParser, 'parse_args', parse)
        patch.setattr(sys, 'argv', [script, *arguments])
        runpy.run_path(script, run_name='__main__')
    said = vars(caught.value.args[0])
    for path in arguments:
        if path.startswith('configs/') or path in FILES:
            assert (checkout / path).is_file(), path
    if script == 'tools/sweep.py':
        load_sweep(said['sweep'])
    elif said.get('cfg_options'):
        config = Config.fromfile(said['config'])
        assert said['cfg_options'].keys() <= {'randomness.seed'} <= {f'randomness.{key}' for key in config.randomness}


def test_the_paths_of_the_voc_commands_are_those_of_the_configs():
    teacher = Config.fromfile(config_file('mmseg_kd::compact/both_voc12.py')).model.teacher.checkpoint
    commands = [command for command in VOC if teacher in command]
    assert [words(command)[0] for command in commands] == ['tools/convert_torchvision_fcn.py', 'tools/test.py']
    weights = pytest.importorskip('torchvision.models.segmentation', exc_type=Exception).FCN_ResNet50_Weights
    assert weights.COCO_WITH_VOC_LABELS_V1.url.endswith(Path(DOWNLOADED).name) and f'~/{DOWNLOADED}' in commands[0]


@pytest.fixture(scope='module')
def outputs(checkout):
    """What the commands say, run one after the other."""
    return {words(command)[0]: sh(f'{command} {FAST[command]}', checkout) for command in COMMANDS if command in FAST}


def test_training_logs_the_losses_that_the_page_explains(outputs):
    logged = {name for name in re.findall(r'(\S*loss\S*): \d', outputs['tools/train.py']) if name != 'loss'}
    assert logged == {'decode.loss_ce', 'loss_response', 'loss_feature'} and all(f'`{name}`' in PAGE for name in logged)


def test_the_sweep_is_compared_on_a_page_with_predictions(outputs, checkout):
    assert ' complete after ' in outputs['tools/sweep.py'] and '\nnone ' in outputs['tools/compare.py']
    page = checkout / 'work_dirs' / 'compact_digits' / 'comparison' / 'comparison.html'
    assert page.name in PAGE and page.read_text(encoding='utf-8').count('<img src="data:image/jpeg;base64,') == 3


def test_successes_and_failures_are_drawn_where_the_page_looks_for_them(outputs, checkout):
    output, picture = outputs['tools/show_predictions.py'], 'work_dirs/both_digits/analysis/predictions.png'
    assert f'written: {picture}\n' in output and f'`{picture}`' in PAGE and (checkout / picture).is_file()
    assert '| worst 4 |' in output and 'without the teacher' not in output


def test_the_exported_student_has_the_miou_of_the_training(outputs):
    trained, tested = (re.findall(r'mIoU: (\S+)', outputs[f'tools/{name}.py'])[-1] for name in ('train', 'test'))
    assert trained == tested


def predicted(network, image):
    """What a segmentor predicts for an image as OpenCV reads it."""
    shape = dict(img_shape=image.shape[:2], ori_shape=image.shape[:2], pad_shape=image.shape[:2], padding_size=[0] * 4)
    batch = dict(inputs=[torch.from_numpy(image).permute(2, 0, 1)], data_samples=[SegDataSample(metainfo=shape)])
    with torch.no_grad():
        return network.test_step(batch)[0].pred_sem_seg.data


@pytest.fixture(scope='module')
def image(checkout):
    """Blue, green, red."""
    return mmcv.imread(str(checkout / 'data' / 'digit_scenes' / 'img_dir' / 'val' / '00000.png'))


def test_what_becomes_an_onnx_file_predicts_what_the_student_predicts(outputs, checkout, image, monkeypatch):
    exported = []
    monkeypatch.setattr(torch.onnx, 'export', lambda module, inputs, path, **_: exported.append((module, inputs, path)))
    monkeypatch.chdir(checkout)
    runpy.run_path('to_onnx.py')
    ((module, inputs, path),) = exported
    assert path == 'work_dirs/both_digits/student/student.onnx' and inputs[0].shape[2:] == image.shape[:2]
    images = torch.from_numpy(image).permute(2, 0, 1).flip(0)[None].float()
    with torch.no_grad():
        # After so few iterations one class may win everywhere; without the means of the logits, several do.
        preprocessor = module.network.data_preprocessor
        logits = module.network((images - preprocessor.mean) / preprocessor.std)
        module.network.decode_head.conv_seg.bias -= logits.mean((0, 2, 3))
        found = module(images)
    # Not all: at a pixel where two classes are as likely, rounding decides.
    assert len(found.unique()) > 1 and (found == predicted(module.network, image)).float().mean() > 0.999


@pytest.mark.skipif(importlib.util.find_spec('onnx') is None, reason='onnx is not installed')
def test_the_onnx_file_predicts_what_the_student_predicts(outputs, checkout, image):
    sh('python to_onnx.py', checkout)
    folder = checkout / 'work_dirs' / 'both_digits' / 'student'
    network = cv2.dnn.readNetFromONNX(str(folder / 'student.onnx'))
    network.setInput(np.ascontiguousarray(image.transpose(2, 0, 1)[::-1])[None].astype(np.float32))
    expected = predicted(init_model(str(folder / 'config.py'), str(folder / 'student.pth'), device='cpu'), image)
    assert (network.forward() == expected.numpy()).mean() > 0.999


@pytest.mark.slow
def test_the_long_commands_run(checkout):
    outputs = {command: sh(f'{command} {SLOW[command]}', checkout) for command in COMMANDS if command in SLOW}
    said = {(words(command)[0], words(command)[1]): output for command, output in outputs.items()}
    assert ': ready to train' in said['tools/doctor.py', 'configs/compact/both_digits.py']
    for row in ('none', 'feature', 'response', 'both'):
        assert f'\n{row} ' in said['tools/compare.py', 'work_dirs/my_sweep/final'], row


@pytest.mark.slow
def test_the_voc_commands_run(voc):
    outputs = {command: sh(f'{command} {VOC[command]}', voc) for command in COMMANDS if command in VOC}
    said = {words(command)[0]: output for command, output in outputs.items()}
    assert ': ready to train' in said['tools/doctor.py']
    for row in ('baseline', 'feature', 'response', 'both'):
        assert f'\n{row}' in said['tools/compare.py'], row
    assert (voc / 'work_dirs' / 'both_voc12' / 'analysis' / 'predictions.png').is_file()
