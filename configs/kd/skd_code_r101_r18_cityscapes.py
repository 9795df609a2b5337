_base_ = ['../_base_/tasks/r101_r18_cityscapes.py', '../_base_/terms/skd_code.py']
model = dict(terms=_base_.terms)
optim_wrapper = dict(
    constructor='DistillOptimWrapperConstructor',
    critic=dict(optimizer=dict(type='SGD', lr=4e-4, momentum=0.9, weight_decay=5e-4)))
