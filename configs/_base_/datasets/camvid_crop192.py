_base_ = './camvid_class_weight.py'

# Small crops for small students: four times the steps in the same time, which gained 5 mIoU from scratch
# (one seed).
crop_size = (192, 192)
_base_.train_pipeline[3].crop_size = crop_size
train_dataloader = dict(dataset=dict(pipeline=_base_.train_pipeline))
