# The teacher, to test the checkpoint of `tools/convert_torchvision_fcn.py`.
_base_ = [
    '../_base_/models/fcn_r50_torchvision.py', '../_base_/datasets/voc12_224.py',
    '../_base_/schedules/adam_plateau_300e.py'
]
model = dict(data_preprocessor=dict(size=_base_.crop_size))
