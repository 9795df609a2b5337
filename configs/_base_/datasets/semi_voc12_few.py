_base_ = './semi_voc12aug.py'

# The 1,464 images of VOC 2012 only.
train_dataloader = dict(dataset=dict(labeled=dict(_delete_=True, **_base_.dataset_train), partition='voc12_few/1_8'))
