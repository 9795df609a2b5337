_base_ = ['../../deploy/pidnet_s_cityscapes.py']

model = dict(
    _delete_=True,
    type='Distiller',
    student=_base_.model,
    teacher=dict(config='mmseg_kd::teachers/oneformer_swinl_cityscapes.py'))
