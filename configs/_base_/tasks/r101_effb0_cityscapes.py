_base_ = [
    '../pairs/pspnet_r101_effb0.py', '../datasets/cityscapes.py', '../schedules/sgd_80k.py',
    '../default_runtime.py'
]
model = dict(
    student=dict(
        data_preprocessor=dict(size=_base_.crop_size),
        decode_head=dict(num_classes=19),
        auxiliary_head=dict(num_classes=19)))
optim_wrapper = dict(optimizer=dict(lr=5e-2, weight_decay=5e-6))
