_base_ = './afdcd.py'

terms = dict(
    loss_pi=dict(weight=0.5), loss_afdcd=dict(loss=dict(reconstruction=1e-6, contrast=0.04)))
