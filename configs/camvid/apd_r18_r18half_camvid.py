_base_ = ['../_base_/tasks/r18_r18half_camvid.py', '../_base_/terms/apd.py']
model = dict(terms=_base_.terms)
optim_wrapper = dict(
    constructor='DistillOptimWrapperConstructor',
    critic=dict(optimizer=dict(type='Adam', lr=1e-5, betas=(0.9, 0.99))),
    paramwise_cfg=dict(custom_keys={'terms': dict(lr_mult=10.0)}))
