_base_ = ['../_base_/setups/mckd_swint_cityscapes.py', '../_base_/terms/soft_labels.py']

# The published experiment with the focal loss, which had no gain. Its settings are unknown. Gamma is that of the focal
# loss's paper (arXiv 1708.02002), and the focal loss replaces the cross-entropy.
losses = [dict(type='SoftmaxFocalLoss', gamma=2.0, loss_weight=1.0), dict(type='SoftDiceLoss', loss_weight=1.0)]
model = dict(student=dict(decode_head=dict(loss_decode=losses)), terms=_base_.terms)
