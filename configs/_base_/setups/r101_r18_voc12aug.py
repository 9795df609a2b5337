_base_ = ['../models/pspnet_r18.py', '../datasets/voc12aug.py', '../schedules/sgd_80k.py', '../default_runtime.py']

_base_.model.data_preprocessor.size = _base_.crop_size
_base_.model.decode_head.num_classes = 21
_base_.model.auxiliary_head.num_classes = 21
model = dict(
    _delete_=True,
    type='Distiller',
    student=_base_.model,
    teacher=dict(config='mmseg::pspnet/pspnet_r101-d8_4xb4-40k_voc12aug-512x512.py', checkpoint='auto'))
# Published for the 1,464 images of `voc12.py`; nothing is published for these 10,582.
optim_wrapper = dict(optimizer=dict(lr=5e-3, weight_decay=5e-5))
