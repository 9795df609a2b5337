_base_ = [
    '../_base_/models/compact.py', '../_base_/datasets/camvid_224.py', '../_base_/schedules/adam_2400.py',
    '../_base_/default_runtime.py'
]
model = dict(decode_head=dict(num_classes=11))
