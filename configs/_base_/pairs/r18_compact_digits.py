_base_ = '../models/compact_half.py'

model = dict(
    _delete_=True,
    type='Distiller',
    student=_base_.model,
    # What `examples/demo.py` leaves behind.
    teacher=dict(config='mmseg_kd::demo/teacher.py', checkpoint='work_dirs/demo/teacher/iter_800.pth'))
