_base_ = [
    '../_base_/models/compact_half.py', '../_base_/datasets/digit_scenes.py', '../_base_/schedules/adam_800.py',
    '../_base_/default_runtime.py'
]
