_base_ = ['../_base_/tasks/r101_r18_cityscapes.py', '../_base_/terms/ka.py']
model = dict(terms=_base_.terms)
optim_wrapper = dict(
    constructor='DistillOptimWrapperConstructor',
    critic=dict(optimizer=dict(type='SGD', lr=0.1, weight_decay=1e-3)))
