_base_ = './pi_tuned.py'

# Attention transfer on the features that the classifier reads. 30 % of the gradient, half of it for the pixel-wise
# divergence: attention maps tell nothing about classes. Results: docs/benchmarks/camvid.md.
terms = dict(
    loss_pi=dict(weight=dict(share=0.15)),
    loss_at=dict(
        student='prelogits',
        teacher='prelogits',
        loss=dict(type='AttentionTransferLoss'),
        weight=dict(type='GradientShare', share=0.15)))
