_base_ = 'mmseg::mobilenet_v3/mobilenet-v3-d8_lraspp_4xb4-320k_cityscapes-512x1024.py'

# Its name says 320k iterations, but it makes 160k: MMEngine does not read `runner`.
custom_imports = dict(imports=['mmseg_kd'], allow_failed_imports=False)
randomness = dict(seed=0)
# All images of a step of the original, which divides them among its GPUs.
auto_scale_lr = dict(enable=False, base_batch_size=16)
train_dataloader = dict(batch_size=16)
default_hooks = dict(checkpoint=dict(save_best='mIoU', max_keep_ckpts=2))
