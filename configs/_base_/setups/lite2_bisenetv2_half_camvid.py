_base_ = ['../../camvid/bisenetv2_half_camvid.py']

model = dict(
    _delete_=True,
    type='Distiller',
    student=_base_.model,
    # Written by `python tools/train.py configs/camvid/lite2_camvid.py`.
    teacher=dict(config='mmseg_kd::camvid/lite2_camvid.py', checkpoint='work_dirs/lite2_camvid/iter_2000.pth'))
