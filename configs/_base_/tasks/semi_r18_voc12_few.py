_base_ = [
    '../models/deeplabv3plus_r18.py', '../datasets/semi_voc12_few.py',
    '../schedules/sgd_40k_semi.py', '../default_runtime.py'
]
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    decode_head=dict(num_classes=21))
