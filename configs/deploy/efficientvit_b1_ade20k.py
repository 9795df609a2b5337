_base_ = [
    '../_base_/models/efficientvit_b1.py', '../_base_/datasets/ade20k_512.py', '../_base_/schedules/adamw_160k.py',
    '../_base_/default_runtime.py'
]
# Not a config of MMSegmentation: the schedule of SegFormer on ADE20K, not tuned for this network.
model = dict(data_preprocessor=dict(size=_base_.crop_size), decode_head=dict(num_classes=150))
