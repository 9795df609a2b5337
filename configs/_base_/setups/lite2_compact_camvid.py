_base_ = ['../models/compact.py', '../datasets/camvid_224.py', '../schedules/adam_2400.py', '../default_runtime.py']

_base_.model.decode_head.num_classes = 11
# The cross-entropy has weight 0.7, as published; `terms/compact.py` has the rest.
_base_.model.decode_head.loss_decode.loss_weight = 0.7
model = dict(
    _delete_=True,
    type='Distiller',
    student=_base_.model,
    # Written by `python tools/train.py configs/camvid/lite2_camvid.py`, with images of 480x360.
    teacher=dict(
        config='mmseg_kd::camvid/lite2_camvid.py', checkpoint='work_dirs/lite2_camvid/iter_2000.pth', scale=1.5))
