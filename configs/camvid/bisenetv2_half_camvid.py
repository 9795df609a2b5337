_base_ = [
    '../_base_/models/bisenetv2_half_scratch.py', '../_base_/datasets/camvid_crop192.py',
    '../_base_/schedules/adamw_2400.py', '../_base_/default_runtime.py'
]
loss = dict(class_weight=_base_.class_weight)
_base_.model.auxiliary_head[0].update(num_classes=11)
_base_.model.auxiliary_head[0].loss_decode.update(loss)
_base_.model.auxiliary_head[1].update(num_classes=11)
_base_.model.auxiliary_head[1].loss_decode.update(loss)
model = dict(data_preprocessor=dict(size=_base_.crop_size), decode_head=dict(num_classes=11, loss_decode=loss))
