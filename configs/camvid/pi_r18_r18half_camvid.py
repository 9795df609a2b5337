_base_ = [
    '../_base_/pairs/pspnet_r18_r18half_camvid.py', '../_base_/datasets/camvid_240x180.py',
    '../_base_/schedules/adamw_600.py', '../_base_/default_runtime.py'
]
model = dict(
    student=dict(
        data_preprocessor=dict(size=_base_.crop_size),
        decode_head=dict(num_classes=11),
        auxiliary_head=dict(num_classes=11)),
    terms=dict(
        loss_pi=dict(
            student='logits', teacher='logits', loss=dict(type='PixelWiseKDLoss', temperature=3.0), weight=1.0)))
