_base_ = 'mmseg::_base_/schedules/schedule_160k.py'

default_hooks = dict(checkpoint=dict(save_best='mIoU', max_keep_ckpts=2))
