from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmseg.registry import HOOKS

from mmseg_kd.engine import TeacherPartitionHook
from mmseg_kd.testing.toys import toy_runner, toy_segmentor


def test_refuses_before_training_and_at_no_other_time(tmp_path):
    torch.save(dict(meta=dict(cfg="train_dataloader = dict(dataset=dict(partition='a/1_8'))")), tmp_path / 'a.pth')
    config = Config(
        dict(
            train_dataloader=dict(dataset=dict(partition='a/1_4')),
            model=dict(teacher=dict(config='a.py', checkpoint=str(tmp_path / 'a.pth'))),
        )
    )
    hook, runner = HOOKS.build(dict(type='TeacherPartitionHook')), SimpleNamespace(cfg=config)
    assert isinstance(hook, TeacherPartitionHook)
    with pytest.raises(ValueError, match='model.teacher.checkpoint must be of the same partition'):
        hook.before_train(runner)
    hook.before_run(runner)
    hook.before_test(runner)


def test_a_run_of_any_config_stops_before_its_first_step(tmp_path):
    torch.save(dict(meta=dict(cfg="train_dataloader = dict(dataset=dict(partition='a/1_8'))")), tmp_path / 'a.pth')
    model = dict(
        type='Distiller',
        student=toy_segmentor(4),
        teacher=dict(model=toy_segmentor(8), checkpoint=str(tmp_path / 'a.pth')),
        terms=dict(loss_pi=dict(student='logits', teacher='logits', loss=dict(type='PixelWiseKDLoss'))),
    )
    runner = toy_runner(model, tmp_path / 'run')
    runner.cfg.train_dataloader = dict(dataset=dict(partition='a/1_4'))
    with pytest.raises(ValueError, match="must be of the same partition .* was trained on 'a/1_8'"):
        runner.train()
    assert runner.iter == 0
