_base_ = ['../_base_/tasks/r101_r18_ade20k.py', '../_base_/terms/apd_ade20k.py']
model = dict(terms=_base_.terms)
optim_wrapper = dict(
    constructor='DistillOptimWrapperConstructor',
    critic=dict(optimizer=dict(type='Adam', lr=1e-5, betas=(0.9, 0.99))),
    paramwise_cfg=dict(custom_keys={'terms': dict(lr_mult=10.0)}))
