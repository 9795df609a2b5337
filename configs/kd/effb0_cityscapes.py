_base_ = [
    '../_base_/models/pspnet_effb0.py', '../_base_/datasets/cityscapes.py', '../_base_/schedules/sgd_80k.py',
    '../_base_/default_runtime.py'
]
# arXiv 2309.03659; docs/papers.md has the differences from the paper.
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    decode_head=dict(num_classes=19),
    auxiliary_head=dict(num_classes=19))
optim_wrapper = dict(optimizer=dict(lr=1e-1, weight_decay=5e-6))
