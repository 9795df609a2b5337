_base_ = ['../models/compact.py', '../datasets/camvid_224.py', '../schedules/adam_600.py', '../default_runtime.py']

_base_.model.decode_head.num_classes = 11
# 0.7 of the cross-entropy, as published; the rest is `terms/compact.py`.
_base_.model.decode_head.loss_decode.loss_weight = 0.7
model = dict(
    _delete_=True,
    type='Distiller',
    student=_base_.model,
    # What `python tools/train.py configs/camvid/r18_camvid.py` leaves behind; it has learned from smaller images.
    teacher=dict(
        config='mmseg_kd::camvid/r18_camvid.py', checkpoint='work_dirs/r18_camvid/iter_1200.pth', scale=0.75))
