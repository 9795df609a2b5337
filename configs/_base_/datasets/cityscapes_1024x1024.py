_base_ = 'mmseg::_base_/datasets/cityscapes_1024x1024.py'

# As MMSegmentation trains SegFormer: 8 images per step over all GPUs.
auto_scale_lr = dict(enable=False, base_batch_size=8)
train_dataloader = dict(batch_size=8, num_workers=4)
