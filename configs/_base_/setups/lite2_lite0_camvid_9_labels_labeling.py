_base_ = ['./lite2_lite0_camvid_9_labels.py']

# The teacher also labels the images without labels.
model = dict(type='LabelingDistiller')
_base_.train_dataloader.dataset.datasets[1].pipeline[1].type = 'LoadUnknownAnnotations'
