_base_ = [
    '../_base_/pairs/pspnet_r101_effb0.py', '../_base_/datasets/cityscapes.py', '../_base_/schedules/sgd_80k.py',
    '../_base_/default_runtime.py'
]
model = dict(
    student=dict(
        data_preprocessor=dict(size=_base_.crop_size),
        decode_head=dict(num_classes=19),
        auxiliary_head=dict(num_classes=19)),
    terms=dict(
        loss_pi=dict(
            student='logits', teacher='logits', loss=dict(type='PixelWiseKDLoss', temperature=8.0), weight=0.1)))
optim_wrapper = dict(optimizer=dict(lr=5e-2, weight_decay=5e-6))
