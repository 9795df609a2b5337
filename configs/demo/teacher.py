_base_ = [
    '../_base_/models/mlp_r18_digits.py', '../_base_/datasets/digit_scenes.py', '../_base_/schedules/adamw_800.py',
    '../_base_/default_runtime.py'
]
optim_wrapper = dict(optimizer=dict(lr=1.2e-2))
