_base_ = [
    '../models/compact_half.py', '../datasets/digit_scenes.py', '../schedules/adam_800.py', '../default_runtime.py'
]

# The cross-entropy has weight 0.7, as published; `terms/compact.py` has the rest.
_base_.model.decode_head.loss_decode.loss_weight = 0.7
model = dict(
    _delete_=True,
    type='Distiller',
    student=_base_.model,
    # Written by `examples/demo.py`.
    teacher=dict(config='mmseg_kd::demo/teacher.py', checkpoint='work_dirs/demo/teacher/iter_800.pth'))
