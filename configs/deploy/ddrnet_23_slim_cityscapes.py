_base_ = 'mmseg::ddrnet/ddrnet_23-slim_in1k-pre_2xb6-120k_cityscapes-1024x1024.py'

custom_imports = dict(imports=['mmseg_kd'], allow_failed_imports=False)
randomness = dict(seed=0)
# All images of a step of the original, which divides them among its GPUs.
auto_scale_lr = dict(enable=False, base_batch_size=12)
train_dataloader = dict(batch_size=12)
default_hooks = dict(checkpoint=dict(save_best='mIoU', max_keep_ckpts=2))
