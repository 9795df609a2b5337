_base_ = 'mmseg::_base_/datasets/ade20k.py'

# As MMSegmentation trains most networks: crops of 512x512, 16 images per step over all GPUs.
auto_scale_lr = dict(enable=False, base_batch_size=16)
train_dataloader = dict(batch_size=16)
