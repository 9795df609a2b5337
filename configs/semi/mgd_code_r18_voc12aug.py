_base_ = './mgd_r18_voc12aug.py'

# What the published code does otherwise: the student's stem is random, teachers go by the statistics of the batch, and
# padding counts. No config says what else it does: it pairs images with themselves, and counts void in pseudo labels.
pad = dict(type='Pad', size=_base_.crop_size, pad_val=dict(img=(104, 116, 124), seg=0))
padded_pipeline = [*_base_.unlabeled_pipeline[:-1], pad, _base_.unlabeled_pipeline[-1]]
train_dataloader = dict(dataset=dict(unlabeled_pipelines=[padded_pipeline, padded_pipeline]))
model = dict(
    student=dict(pretrained='torchvision://resnet18'),
    teacher=dict(
        deep=dict(config='mmseg_kd::_base_/tasks/semi_r101_code_voc12aug.py'),
        wide=dict(config='mmseg_kd::_base_/tasks/semi_wide_code_voc12aug.py')))
