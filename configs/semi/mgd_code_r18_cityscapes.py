_base_ = ['../_base_/setups/semi_r18_cityscapes.py', '../_base_/terms/semi_mgd.py']

# As `mgd_code_r18_voc12aug.py`. The weight is 0.001 for a sum over 19 classes and the 2 images of a GPU. A step has 16
# labeled images over all GPUs (on n GPUs, batch_size is 16 / n); the number of epochs is the same.
_base_.unlabeled_terms.loss_image.weight = 0.038
pad = dict(type='Pad', size=_base_.crop_size, pad_val=dict(img=(104, 116, 124), seg=0))
padded_pipeline = [*_base_.unlabeled_pipeline[:-1], pad, _base_.unlabeled_pipeline[-1]]
train_dataloader = dict(batch_size=16, dataset=dict(unlabeled_pipelines=[padded_pipeline, padded_pipeline]))
model = dict(
    type=_base_.distiller,
    student=dict(pretrained='torchvision://resnet18'),
    teacher=dict(
        deep=dict(config='mmseg_kd::teachers/semi_r101_code_cityscapes.py'),
        wide=dict(config='mmseg_kd::teachers/semi_wide_code_cityscapes.py')),
    terms=_base_.terms,
    unlabeled_terms=_base_.unlabeled_terms,
    mix=_base_.mix)
custom_hooks = [*_base_.custom_hooks, *_base_.semi_hooks]
optim_wrapper = dict(optimizer=dict(weight_decay=8e-4))
auto_scale_lr = dict(base_batch_size=16)
param_scheduler = [dict(type='PolyLR', eta_min=0.0, power=0.9, begin=0, end=22194, by_epoch=False)]
train_cfg = dict(max_iters=22194, val_interval=2220)
default_hooks = dict(checkpoint=dict(interval=2220))
