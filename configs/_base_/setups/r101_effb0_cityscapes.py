_base_ = ['../models/pspnet_effb0.py', '../datasets/cityscapes.py', '../schedules/sgd_80k.py', '../default_runtime.py']

_base_.model.data_preprocessor.size = _base_.crop_size
_base_.model.decode_head.num_classes = 19
_base_.model.auxiliary_head.num_classes = 19
model = dict(
    _delete_=True,
    type='Distiller',
    student=_base_.model,
    teacher=dict(config='mmseg::pspnet/pspnet_r101-d8_4xb2-80k_cityscapes-512x1024.py', checkpoint='auto'))
optim_wrapper = dict(optimizer=dict(lr=5e-2, weight_decay=5e-6))
