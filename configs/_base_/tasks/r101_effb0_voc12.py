_base_ = [
    '../pairs/pspnet_r101_effb0.py', '../datasets/voc12.py', '../schedules/sgd_80k.py',
    '../default_runtime.py'
]
# MMSegmentation has no PSPNet trained on the 1,464 images alone: this teacher has learnt from 10,582.
model = dict(
    student=dict(
        data_preprocessor=dict(size=_base_.crop_size),
        decode_head=dict(num_classes=21),
        auxiliary_head=dict(num_classes=21)),
    teacher=dict(config='mmseg::pspnet/pspnet_r101-d8_4xb4-40k_voc12aug-512x512.py'))
optim_wrapper = dict(optimizer=dict(lr=1e-2, weight_decay=5e-6))
