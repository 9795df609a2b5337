# Attention transfer on the features that the classifier reads, with 30 % of the gradient. Not measured
# to the end of a training.
terms = dict(
    loss_at=dict(
        student='prelogits',
        teacher='prelogits',
        loss=dict(type='AttentionTransferLoss'),
        weight=dict(type='GradientShare', share=0.3)))
