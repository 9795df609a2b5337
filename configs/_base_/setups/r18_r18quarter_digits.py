_base_ = ['../../demo/student.py']

model = dict(
    _delete_=True,
    type='Distiller',
    student=_base_.model,
    # Written by `make demo`.
    teacher=dict(config='mmseg_kd::demo/teacher.py', checkpoint='work_dirs/demo/teacher/iter_800.pth'))
