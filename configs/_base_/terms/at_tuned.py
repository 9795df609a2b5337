# Attention transfer on the features that the classifier reads, with 30 % of the gradient. It tells nothing about
# classes, so unlabeled images need labels of the teacher beside it. Results: docs/benchmarks/camvid.md.
terms = dict(
    loss_at=dict(
        student='prelogits',
        teacher='prelogits',
        loss=dict(type='AttentionTransferLoss'),
        weight=dict(type='GradientShare', share=0.3)))
