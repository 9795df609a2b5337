_base_ = './_base_/random_init.py'

name = 'random_init_ade20k'
candidates = dict(alone='mmseg_kd::kd/r18_scratch_ade20k.py', pi='mmseg_kd::kd/pi_r101_r18_scratch_ade20k.py')
