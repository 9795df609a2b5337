_base_ = ['../models/compact.py', '../datasets/voc12_224.py', '../schedules/adam_plateau_300e.py']

# The cross-entropy has weight 0.7, as published; `terms/compact.py` has the rest.
_base_.model.decode_head.loss_decode.loss_weight = 0.7
model = dict(
    _delete_=True,
    type='Distiller',
    student=_base_.model,
    # Written by `tools/convert_torchvision_fcn.py`. You can also use a checkpoint of MMSegmentation, such as
    # config='mmseg::fcn/fcn_r50-d8_4xb4-20k_voc12aug-512x512.py', checkpoint='auto'.
    teacher=dict(config='mmseg_kd::compact/fcn_r50_voc12.py', checkpoint='work_dirs/fcn_r50_voc12/torchvision.pth'))
