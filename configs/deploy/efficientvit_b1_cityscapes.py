_base_ = [
    '../_base_/models/efficientvit_b1.py', '../_base_/datasets/cityscapes_1024x1024.py',
    '../_base_/schedules/adamw_160k.py', '../_base_/default_runtime.py'
]
# Not a config of MMSegmentation: the data and schedule of SegFormer on Cityscapes, not tuned for this network.
model = dict(data_preprocessor=dict(size=_base_.crop_size))
