_base_ = [
    '../_base_/models/segnext_t.py', '../_base_/datasets/cityscapes_1024x1024.py', '../_base_/schedules/adamw_160k.py',
    '../_base_/default_runtime.py'
]
# MMSegmentation has this network on ADE20K only: here with the data and schedule of SegFormer on Cityscapes.
model = dict(data_preprocessor=dict(size=_base_.crop_size))
