_base_ = ['../../deploy/pidnet_s_cityscapes.py']

model = dict(
    _delete_=True,
    type='Distiller',
    student=_base_.model,
    teacher=dict(
        config='mmseg::segformer/segformer_mit-b5_8xb1-160k_cityscapes-1024x1024.py', checkpoint='auto'))
