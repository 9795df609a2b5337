_base_ = [
    '../pairs/pspnet_r101_r18.py', '../datasets/voc12aug.py', '../schedules/sgd_80k.py',
    '../default_runtime.py'
]
model = dict(
    student=dict(
        data_preprocessor=dict(size=_base_.crop_size),
        decode_head=dict(num_classes=21),
        auxiliary_head=dict(num_classes=21)),
    teacher=dict(config='mmseg::pspnet/pspnet_r101-d8_4xb4-40k_voc12aug-512x512.py'))
# Found for the 1,464 images of `voc12.py`; for these 10,582 nothing is published.
optim_wrapper = dict(optimizer=dict(lr=5e-3, weight_decay=5e-5))
