from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmseg.registry import HOOKS

from mmseg_kd import config_file
from mmseg_kd.engine import TeacherPartitionHook


def test_refuses_before_training_and_at_no_other_time(tmp_path):
    torch.save(dict(meta=dict(cfg="train_dataloader = dict(dataset=dict(partition='a/1_8'))")), tmp_path / 'a.pth')
    config = Config(dict(train_dataloader=dict(dataset=dict(partition='a/1_4')),
                         model=dict(teacher=dict(config='a.py', checkpoint=str(tmp_path / 'a.pth')))))
    hook, runner = HOOKS.build(dict(type='TeacherPartitionHook')), SimpleNamespace(cfg=config)
    assert isinstance(hook, TeacherPartitionHook)
    with pytest.raises(ValueError, match='model.teacher.checkpoint must be of the same partition'):
        hook.before_train(runner)
    hook.before_run(runner)
    hook.before_test(runner)


@pytest.mark.parametrize('method', ['kd', 'cwd', 'mgd'])
@pytest.mark.parametrize('data', ['cityscapes', 'voc12aug', 'voc12_few'])
def test_every_config_with_teachers_of_a_partition_has_the_hook(method, data):
    config = Config.fromfile(config_file(f'mmseg_kd::semi/{method}_r18_{data}.py'))
    assert 'TeacherPartitionHook' in [hook.type for hook in config.custom_hooks]
