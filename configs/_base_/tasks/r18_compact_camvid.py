_base_ = [
    '../pairs/r18_compact_camvid.py', '../datasets/camvid_224.py', '../schedules/adam_600.py', '../default_runtime.py'
]
model = dict(student=dict(decode_head=dict(num_classes=11, loss_decode=dict(loss_weight=0.7))))
