_base_ = './_base_/random_init.py'

name = 'random_init_cityscapes'
candidates = dict(alone='mmseg_kd::kd/r18_scratch_cityscapes.py', pi='mmseg_kd::kd/pi_r101_r18_scratch_cityscapes.py')
