from types import SimpleNamespace

import pytest
import torch
from mmengine.runner.checkpoint import load_state_dict
from mmseg.registry import MODELS

from mmseg_kd.distillers import CheckpointError
from mmseg_kd.engine import FittingCheckpointHook
from mmseg_kd.io.checkpoint import read_checkpoint
from mmseg_kd.testing.toys import ToyDataset, toy_runner, toy_segmentor

PI = dict(student='logits', teacher='logits', loss=dict(type='PixelWiseKDLoss'))
KEY = 'decode_head.conv_seg.weight'
LOADER = dict(
    dataset=ToyDataset(2),
    batch_size=1,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='pseudo_collate'),
)
TEST = dict(test_dataloader=LOADER, test_evaluator=dict(type='IoUMetric'), test_cfg=dict(type='TestLoop'))
DISTILLER = dict(
    type='Distiller', student=toy_segmentor(4), teacher=dict(model=toy_segmentor(8)), terms=dict(loss_pi=PI)
)


def load_for_a_test(model, path):
    """What ``Runner.test`` does before it tests."""
    checkpoint = read_checkpoint(str(path))
    runner = SimpleNamespace(model=MODELS.build(model), optim_wrapper=None, _resume=False, _load_from=str(path))
    FittingCheckpointHook().after_load_checkpoint(runner, checkpoint)
    load_state_dict(runner.model, checkpoint['state_dict'])
    return runner.model


@pytest.mark.parametrize('model', [toy_segmentor(4), DISTILLER, dict(type='SegTTAModel', module=DISTILLER)])
@pytest.mark.parametrize(
    'form',
    [
        lambda weights: weights,
        lambda weights: dict(state_dict=weights, meta={}),
        lambda weights: dict(state_dict={f'student.{key}': value for key, value in weights.items()}, meta={}),
    ],
)
def test_either_form_is_tested_by_either_config(tmp_path, model, form):
    weights = MODELS.build(toy_segmentor(4)).state_dict()
    torch.save(form(weights), tmp_path / 'c.pth')
    loaded = load_for_a_test(model, tmp_path / 'c.pth').state_dict()
    (name,) = (key for key in loaded if key.endswith(KEY) and 'auxiliary' not in key)
    assert torch.equal(loaded[name], weights[KEY])


def test_a_moving_average_begins_with_the_loaded_weights_of_a_plain_student(tmp_path):
    weights = MODELS.build(toy_segmentor(4)).state_dict()
    torch.save(weights, tmp_path / 'c.pth')
    runner = toy_runner(
        DISTILLER, tmp_path, load_from=str(tmp_path / 'c.pth'), custom_hooks=[dict(type='EMAHook')], **TEST
    )
    runner.call_hook('before_run')
    runner.load_or_resume()
    (average,) = (hook.ema_model for hook in runner.hooks if type(hook).__name__ == 'EMAHook')
    assert torch.equal(average.state_dict()[f'module.student.{KEY}'], weights[KEY])


@pytest.mark.parametrize('model', [toy_segmentor(4), DISTILLER])
@pytest.mark.parametrize(
    'other, message',
    [
        (dict(num_classes=7), r'0 keys missing, 0 unexpected, 2 of another shape'),
        (dict(depth=34), r'[1-9]\d* unexpected'),
    ],
)
def test_another_network_is_refused(tmp_path, model, other, message):
    torch.save(MODELS.build(toy_segmentor(4, **other)).state_dict(), tmp_path / 'other.pth')
    with pytest.raises(CheckpointError, match=f'other.pth does not fit EncoderDecoder: .*{message}') as error:
        load_for_a_test(model, tmp_path / 'other.pth')
    assert '\n' not in str(error.value)
    assert str(error.value).endswith('it is another network of the same kind; use the config that it was trained with')


def test_the_runner_tests_no_network_whose_weights_do_not_fit(tmp_path):
    torch.save(MODELS.build(toy_segmentor(4, depth=34)).state_dict(), tmp_path / 'other.pth')
    with pytest.raises(CheckpointError, match='other.pth does not fit EncoderDecoder'):
        toy_runner(DISTILLER, tmp_path, load_from=str(tmp_path / 'other.pth'), **TEST).test()


def test_training_begins_with_what_fits_and_refuses_what_does_not_at_all(tmp_path):
    weights = MODELS.build(toy_segmentor(4, num_classes=7)).state_dict()
    torch.save(weights, tmp_path / 'classes.pth')
    runner = toy_runner(
        DISTILLER,
        tmp_path,
        max_iters=1,
        load_from=str(tmp_path / 'classes.pth'),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.0)),
    )
    runner.train()
    assert torch.equal(
        runner.model.state_dict()['student.decode_head.bottleneck.conv.weight'],
        weights['decode_head.bottleneck.conv.weight'],
    )
    torch.save(
        {key.removeprefix('backbone.'): value for key, value in weights.items() if key.startswith('backbone.')},
        tmp_path / 'backbone.pth',
    )
    with pytest.raises(
        CheckpointError,
        match=r'backbone.pth holds no weights that fit Distiller: it is a backbone alone; load '
        r'it with backbone.init_cfg',
    ):
        toy_runner(DISTILLER, tmp_path, max_iters=1, load_from=str(tmp_path / 'backbone.pth')).train()


def test_a_resumed_run_needs_all_weights_of_its_student(tmp_path):
    torch.save(
        dict(state_dict=MODELS.build(toy_segmentor(4, depth=34)).state_dict(), meta=dict(epoch=0, iter=1)),
        tmp_path / 'other.pth',
    )
    with pytest.raises(CheckpointError, match='does not fit EncoderDecoder'):
        toy_runner(DISTILLER, tmp_path, max_iters=2, load_from=str(tmp_path / 'other.pth'), resume=True).train()
