_base_ = ['../../camvid/lite0_camvid_9_labels.py']

model = dict(
    _delete_=True,
    type='Distiller',
    student=_base_.model,
    # Written by `python tools/train.py configs/camvid/lite2_camvid.py`.
    teacher=dict(
        config='mmseg_kd::camvid/lite2_camvid.py',
        checkpoint='work_dirs/lite2_camvid/iter_2000.pth',
        pixels='original'))
# Half of the images have no labels. Nothing but terms learns from them.
labeled = _base_.train_dataloader.dataset
unlabeled_pipeline = [
    dict(type='LoadVoidAnnotations') if step.type == 'LoadAnnotations' else step for step in labeled.pipeline
]
unlabeled = dict(labeled, ann_file='9_labels/unlabeled.txt', pipeline=unlabeled_pipeline)
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='ConcatDataset',
        datasets=[dict(type='RepeatDataset', times=40, dataset=labeled), unlabeled]))
