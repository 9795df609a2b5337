_base_ = [
    '../pairs/r18_compact_digits.py', '../datasets/digit_scenes.py', '../schedules/adam_800.py', '../default_runtime.py'
]
model = dict(student=dict(decode_head=dict(loss_decode=dict(loss_weight=0.7))))
