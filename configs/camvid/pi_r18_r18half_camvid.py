_base_ = '../_base_/tasks/r18_r18half_camvid.py'

model = dict(
    terms=dict(
        loss_pi=dict(
            student='logits', teacher='logits', loss=dict(type='PixelWiseKDLoss', temperature=3.0), weight=1.0)))
