_base_ = '../models/compact.py'

model = dict(
    _delete_=True,
    type='Distiller',
    student=_base_.model,
    # What `python tools/train.py configs/camvid/r18_camvid.py` leaves behind; it has learnt from smaller images.
    teacher=dict(
        config='mmseg_kd::camvid/r18_camvid.py', checkpoint='work_dirs/r18_camvid/iter_1200.pth', scale=0.75))
