_base_ = [
    '../_base_/models/pspnet_effb0.py', '../_base_/datasets/voc12aug.py', '../_base_/schedules/sgd_80k.py',
    '../_base_/default_runtime.py'
]
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    decode_head=dict(num_classes=21),
    auxiliary_head=dict(num_classes=21))
# Published for the 1,464 images of `voc12.py`; nothing is published for these 10,582.
optim_wrapper = dict(optimizer=dict(lr=1e-2, weight_decay=5e-4))
