_base_ = [
    '../models/deeplabv3plus_mbv2.py', '../datasets/semi_voc12_few.py', '../schedules/sgd_40k_semi.py',
    '../default_runtime.py'
]

_base_.model.data_preprocessor.size = _base_.crop_size
_base_.model.decode_head.num_classes = 21
# The teachers are trained by cross pseudo supervision on the same labels, such as by
# `python tools/train.py configs/semi/cps_r101_voc12_few.py`.
train_dataloader = dict(dataset=dict(partition='voc12_few/1_8'))
model = dict(
    _delete_=True,
    type='SemiSupervisedDistiller',
    student=_base_.model,
    teacher=dict(
        deep=dict(
            config='mmseg_kd::semi/cps_r101_voc12_few.py', checkpoint='work_dirs/cps_r101_voc12_few/iter_39680.pth'),
        wide=dict(
            config='mmseg_kd::semi/cps_wide_voc12_few.py', checkpoint='work_dirs/cps_wide_voc12_few/iter_39680.pth')))
