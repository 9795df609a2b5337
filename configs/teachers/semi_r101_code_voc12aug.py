_base_ = '../semi/cps_r101_voc12aug.py'

# As a teacher in the published code of multi-granularity distillation, which leaves it in train mode.
norm_cfg = dict(type='BatchStatisticsBN')
model = dict(student=dict(backbone=dict(norm_cfg=norm_cfg), decode_head=dict(norm_cfg=norm_cfg)))
