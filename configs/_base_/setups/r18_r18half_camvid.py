_base_ = [
    '../models/pspnet_r18half_scratch.py', '../datasets/camvid_240x180.py', '../schedules/adamw_600.py',
    '../default_runtime.py'
]

_base_.model.data_preprocessor.size = _base_.crop_size
_base_.model.decode_head.num_classes = 11
_base_.model.auxiliary_head.num_classes = 11
model = dict(
    _delete_=True,
    type='Distiller',
    student=_base_.model,
    # Written by `python tools/train.py configs/camvid/r18_camvid.py`.
    teacher=dict(config='mmseg_kd::camvid/r18_camvid.py', checkpoint='work_dirs/r18_camvid/iter_1200.pth'))
