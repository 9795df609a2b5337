_base_ = './pi_r18_r18half_camvid.py'

model = dict(
    terms=dict(
        _delete_=True,
        loss_cwd=dict(student='logits', teacher='logits', loss=dict(type='CWDLoss', temperature=4.0), weight=3.0)))
