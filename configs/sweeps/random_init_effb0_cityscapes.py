_base_ = './_base_/random_init.py'

name = 'random_init_effb0_cityscapes'
candidates = dict(
    alone='mmseg_kd::kd/effb0_scratch_cityscapes.py', pi='mmseg_kd::kd/pi_r101_effb0_scratch_cityscapes.py')
