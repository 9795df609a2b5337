_base_ = [
    '../pairs/pspnet_r18_r18half_camvid.py', '../datasets/camvid_240x180.py',
    '../schedules/adamw_600.py', '../default_runtime.py'
]
model = dict(
    student=dict(
        data_preprocessor=dict(size=_base_.crop_size),
        decode_head=dict(num_classes=11),
        auxiliary_head=dict(num_classes=11)))
