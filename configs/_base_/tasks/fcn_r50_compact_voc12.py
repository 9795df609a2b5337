_base_ = ['../pairs/fcn_r50_compact.py', '../datasets/voc12_224.py', '../schedules/adam_plateau_300e.py']
model = dict(student=dict(decode_head=dict(loss_decode=dict(loss_weight=0.7))))
