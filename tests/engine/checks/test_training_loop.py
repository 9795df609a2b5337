"""The loop that a config asks for."""

from mmengine.config import Config
from stock_trainings import EPOCHS, refusal

from mmseg_kd.engine.checks import training_loop


def test_loops_without_a_type_and_those_of_mckd_are_understood():
    assert training_loop(Config(dict(train_cfg=dict(by_epoch=False, max_iters=5)))).length == 'train_cfg.max_iters is 5'
    assert training_loop(Config(dict(train_cfg=dict(by_epoch=True, max_epochs=5)))).by_epoch
    assert training_loop(Config(dict(train_cfg=dict(type='ValLoop')))) is None and training_loop(Config(dict())) is None
    mckd = dict(type='MCKDLoop', teacher=dict(config='teacher.py'), train=EPOCHS)
    assert training_loop(Config(dict(train_cfg=mckd))).length == 'train_cfg.train.max_epochs is 20'
    assert 'train_cfg.train.max_epochs is 20' in refusal(mckd, 'InfiniteSampler', None, checkpoint=dict(by_epoch=True))
