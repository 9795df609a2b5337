_base_ = './cwd_tuned.py'

# For networks with the same type of backbone and head: attention transfer on the features that the classifier reads,
# with another 15 % of the gradient.
terms = dict(
    loss_at=dict(
        student='prelogits',
        teacher='prelogits',
        loss=dict(type='AttentionTransferLoss'),
        weight=dict(type='GradientShare', share=0.15)))
