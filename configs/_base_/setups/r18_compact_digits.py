_base_ = [
    '../models/compact_half.py', '../datasets/digit_scenes.py', '../schedules/adam_800.py', '../default_runtime.py'
]

# 0.7 of the cross-entropy, as published; the rest is `terms/compact.py`.
_base_.model.decode_head.loss_decode.loss_weight = 0.7
model = dict(
    _delete_=True,
    type='Distiller',
    student=_base_.model,
    # What `examples/demo.py` leaves behind.
    teacher=dict(config='mmseg_kd::demo/teacher.py', checkpoint='work_dirs/demo/teacher/iter_800.pth'))
