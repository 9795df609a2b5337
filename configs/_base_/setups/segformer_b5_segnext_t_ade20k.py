_base_ = ['../../deploy/segnext_t_ade20k.py']

model = dict(
    _delete_=True,
    type='Distiller',
    student=_base_.model,
    teacher=dict(
        config='mmseg::segformer/segformer_mit-b5_8xb2-160k_ade20k-512x512.py', checkpoint='auto'))
