_base_ = [
    '../models/deeplabv3plus_r18quarter_scratch.py', '../datasets/semi_camvid.py', '../schedules/adamw_600.py',
    '../default_runtime.py'
]
model = dict(data_preprocessor=dict(size=_base_.crop_size), decode_head=dict(num_classes=11))
randomness = dict(seed=0)
