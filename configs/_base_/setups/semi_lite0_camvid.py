_base_ = [
    '../models/segformer_lite0.py', '../datasets/semi_camvid_crop192.py', '../schedules/adamw_1200_pretrained.py',
    '../default_runtime.py'
]

_base_.model.data_preprocessor.size = _base_.crop_size
_base_.model.decode_head.update(
    num_classes=11, loss_decode=dict(_base_.model.decode_head.loss_decode, class_weight=_base_.class_weight))
# The teachers are trained on the same labels, such as by
# `python tools/train.py configs/semi/sup_lite2_camvid.py --amp`. bfloat16 halves their time on CPUs that support it.
model = dict(
    _delete_=True,
    type='SemiSupervisedDistiller',
    student=_base_.model,
    teacher=dict(
        deep=dict(
            config='mmseg_kd::semi/sup_lite2_camvid.py',
            checkpoint='work_dirs/sup_lite2_camvid/iter_1200.pth',
            dtype='bfloat16'),
        wide=dict(
            config='mmseg_kd::semi/sup_lite1_camvid.py',
            checkpoint='work_dirs/sup_lite1_camvid/iter_1200.pth',
            dtype='bfloat16')))
