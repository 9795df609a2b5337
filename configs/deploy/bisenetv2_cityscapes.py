_base_ = 'mmseg::bisenetv2/bisenetv2_fcn_4xb4-160k_cityscapes-1024x1024.py'

custom_imports = dict(imports=['mmseg_kd'], allow_failed_imports=False)
randomness = dict(seed=0)
# All images of a step of the original, which divides them among its GPUs.
auto_scale_lr = dict(enable=False, base_batch_size=16)
train_dataloader = dict(batch_size=16)
default_hooks = dict(checkpoint=dict(save_best='mIoU', max_keep_ckpts=2))
