_base_ = ['./lite2_lite0_camvid_9_labels.py']

# The teacher also labels the images without labels.
model = dict(type='LabelingDistiller')
for _step in _base_.train_dataloader.dataset.datasets[1].pipeline:
    if _step.type == 'LoadVoidAnnotations':
        _step.type = 'LoadUnknownAnnotations'
