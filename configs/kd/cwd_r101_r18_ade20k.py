_base_ = './pi_r101_r18_ade20k.py'

# As published for Cityscapes: this term alone.
model = dict(
    terms=dict(
        _delete_=True,
        loss_cwd=dict(student='logits', teacher='logits', loss=dict(type='CWDLoss', temperature=4.0), weight=3.0)))
