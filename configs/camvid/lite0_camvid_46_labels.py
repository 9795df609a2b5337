_base_ = './lite0_camvid.py'

# 46 of the 367 training images have labels: `python tools/make_partition.py configs/camvid/lite0_camvid.py
# --fraction 0.125 --out data/camvid/46_labels`.
train_dataloader = dict(dataset=dict(ann_file='46_labels/labeled.txt'))
