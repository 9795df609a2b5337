_base_ = './afdcd.py'

terms = dict(loss_afdcd=dict(loss=dict(reconstruction=1e-6)))
