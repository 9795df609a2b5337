_base_ = [
    '../pairs/pspnet_r101_r18.py', '../datasets/ade20k.py', '../schedules/sgd_80k.py',
    '../default_runtime.py'
]
model = dict(
    student=dict(
        data_preprocessor=dict(size=_base_.crop_size),
        decode_head=dict(num_classes=150),
        auxiliary_head=dict(num_classes=150)),
    teacher=dict(config='mmseg::pspnet/pspnet_r101-d8_4xb4-160k_ade20k-512x512.py'))
optim_wrapper = dict(optimizer=dict(lr=1e-2, weight_decay=5e-5))
