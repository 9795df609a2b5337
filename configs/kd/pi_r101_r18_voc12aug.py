_base_ = [
    '../_base_/pairs/pspnet_r101_r18.py', '../_base_/datasets/voc12aug.py', '../_base_/schedules/sgd_80k.py',
    '../_base_/default_runtime.py'
]
model = dict(
    student=dict(
        data_preprocessor=dict(size=_base_.crop_size),
        decode_head=dict(num_classes=21),
        auxiliary_head=dict(num_classes=21)),
    teacher=dict(config='mmseg::pspnet/pspnet_r101-d8_4xb4-40k_voc12aug-512x512.py'),
    terms=dict(
        loss_pi=dict(
            student='logits', teacher='logits', loss=dict(type='PixelWiseKDLoss', temperature=1.0), weight=0.1)))
optim_wrapper = dict(optimizer=dict(lr=5e-3, weight_decay=5e-5))
