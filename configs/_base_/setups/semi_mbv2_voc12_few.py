_base_ = [
    '../models/deeplabv3plus_mbv2.py', '../datasets/semi_voc12_few.py', '../schedules/sgd_40k_semi.py',
    '../default_runtime.py', '../models/semi_teachers_voc12_few.py'
]

_base_.model.data_preprocessor.size = _base_.crop_size
_base_.model.decode_head.num_classes = 21
model = dict(
    _delete_=True, type='SemiSupervisedDistiller', student=_base_.model, teacher=_base_.teachers)
