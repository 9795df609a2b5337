_base_ = ['../_base_/setups/semi_r18_voc12aug.py', '../_base_/terms/semi_mgd.py']

# The published code differs from the paper in image level and weight decay; the student's stem is random, teachers use
# the statistics of the batch, and padding is not ignored. The weight is 0.002 for a sum over 21 classes and the 2
# images of a GPU. docs/papers.md has further differences.
_base_.unlabeled_terms.loss_image.weight = 0.084
pad = dict(type='Pad', size=_base_.crop_size, pad_val=dict(img=(104, 116, 124), seg=0))
padded_pipeline = [*_base_.unlabeled_pipeline[:-1], pad, _base_.unlabeled_pipeline[-1]]
train_dataloader = dict(dataset=dict(unlabeled_pipelines=[padded_pipeline, padded_pipeline]))
model = dict(
    type=_base_.distiller,
    student=dict(pretrained='torchvision://resnet18'),
    teacher=dict(
        deep=dict(config='mmseg_kd::teachers/semi_r101_code_voc12aug.py'),
        wide=dict(config='mmseg_kd::teachers/semi_wide_code_voc12aug.py')),
    terms=_base_.terms,
    unlabeled_terms=_base_.unlabeled_terms,
    mix=_base_.mix)
custom_hooks = [*_base_.custom_hooks, *_base_.semi_hooks]
optim_wrapper = dict(optimizer=dict(weight_decay=4e-4))
