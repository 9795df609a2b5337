_base_ = 'mmseg::_base_/default_runtime.py'

# Training by epochs, with a validation after each; the best checkpoint is kept. Replaces `default_runtime.py`.
custom_imports = dict(imports=['mmseg_kd'], allow_failed_imports=False)
custom_hooks = []
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='CheckpointHook', interval=1, max_keep_ckpts=1, save_best='mIoU'),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    visualization=dict(type='SegVisualizationHook'))
log_processor = dict(by_epoch=True)
randomness = dict(seed=0)
