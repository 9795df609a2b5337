_base_ = './student.py'

model = dict(
    _delete_=True,
    type='Distiller',
    student=_base_.model,
    teacher=dict(config='mmseg_kd::demo/teacher.py', checkpoint='work_dirs/demo/teacher/iter_800.pth'),
    terms=dict(
        loss_cwd=dict(
            student='logits', teacher='logits', loss=dict(type='CWDLoss', temperature=4.0), weight=3.0)))
