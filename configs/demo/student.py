_base_ = [
    '../_base_/models/mlp_r18_digits.py', '../_base_/datasets/digit_scenes.py', '../_base_/schedules/adamw_800.py',
    '../_base_/default_runtime.py'
]
# A quarter of the teacher's width.
model = dict(
    backbone=dict(stem_channels=6, base_channels=6),
    decode_head=dict(in_channels=[6, 12, 24, 48], channels=24, init_cfg=dict(std=0.29)))
