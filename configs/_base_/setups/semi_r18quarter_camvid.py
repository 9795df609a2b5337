_base_ = [
    '../models/deeplabv3plus_r18quarter_scratch.py', '../datasets/semi_camvid.py', '../schedules/adamw_600.py',
    '../default_runtime.py'
]

_base_.model.data_preprocessor.size = _base_.crop_size
_base_.model.decode_head.num_classes = 11
# The teachers are trained by cross pseudo supervision on the same labels, such as by
# `python tools/train.py configs/semi/cps_r34half_camvid.py --amp`.
# bfloat16 halves the time of the teachers on CPUs that support it.
model = dict(
    _delete_=True,
    type='SemiSupervisedDistiller',
    student=_base_.model,
    teacher=dict(
        deep=dict(
            config='mmseg_kd::semi/cps_r34half_camvid.py',
            checkpoint='work_dirs/cps_r34half_camvid/iter_1000.pth',
            dtype='bfloat16'),
        wide=dict(
            config='mmseg_kd::semi/cps_r18half_camvid.py',
            checkpoint='work_dirs/cps_r18half_camvid/iter_1000.pth',
            dtype='bfloat16')))
