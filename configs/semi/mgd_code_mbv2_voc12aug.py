_base_ = ['../_base_/setups/semi_mbv2_voc12aug.py', '../_base_/terms/semi_mgd.py']

# As `mgd_code_r18_voc12aug.py`. For MobileNetV2 on VOC, the published code has other weights (0.0005 for a sum over 21
# classes and 2 images, and 50), another learning rate (0.014 on four GPUs), and no synchronized BatchNorm in the
# backbone.
_base_.unlabeled_terms.loss_image.weight = 0.021
_base_.unlabeled_terms.loss_region.weight = 50.0
pad = dict(type='Pad', size=_base_.crop_size, pad_val=dict(img=(104, 116, 124), seg=0))
padded_pipeline = [*_base_.unlabeled_pipeline[:-1], pad, _base_.unlabeled_pipeline[-1]]
train_dataloader = dict(dataset=dict(unlabeled_pipelines=[padded_pipeline, padded_pipeline]))
model = dict(
    type=_base_.distiller,
    student=dict(backbone=dict(norm_cfg=dict(type='BN', requires_grad=True))),
    teacher=dict(
        deep=dict(config='mmseg_kd::teachers/semi_r101_code_voc12aug.py'),
        wide=dict(config='mmseg_kd::teachers/semi_wide_code_voc12aug.py')),
    terms=_base_.terms,
    unlabeled_terms=_base_.unlabeled_terms,
    mix=_base_.mix)
custom_hooks = [*_base_.custom_hooks, *_base_.semi_hooks]
optim_wrapper = dict(optimizer=dict(lr=0.0035, weight_decay=4e-4))
