_base_ = ['../../deploy/segformer_b0_ade20k.py']

model = dict(
    _delete_=True,
    type='Distiller',
    student=_base_.model,
    teacher=dict(config='mmseg_kd::teachers/oneformer_swinl_ade20k.py'))
