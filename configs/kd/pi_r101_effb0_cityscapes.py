_base_ = '../_base_/tasks/r101_effb0_cityscapes.py'

model = dict(
    terms=dict(
        loss_pi=dict(
            student='logits', teacher='logits', loss=dict(type='PixelWiseKDLoss', temperature=8.0), weight=0.1)))
