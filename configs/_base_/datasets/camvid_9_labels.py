_base_ = './camvid_240x180.py'

# Nine of the 367 training images have labels. `tools/make_partition.py` draws them; see
# `configs/sweeps/few_labels_camvid.py`.
auto_scale_lr = dict(base_batch_size=8)
train_dataloader = dict(batch_size=8, dataset=dict(ann_file='9_labels/labeled.txt'))
