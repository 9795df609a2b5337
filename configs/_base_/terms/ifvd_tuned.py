_base_ = './pi_tuned.py'

# IFVD on the features that the classifier reads. 30 % of the gradient, half of it for the pixel-wise divergence.
# Results: docs/benchmarks/camvid.md.
terms = dict(
    loss_pi=dict(weight=dict(share=0.15)),
    loss_ifv=dict(
        student='prelogits',
        teacher='prelogits',
        loss=dict(type='IFVDLoss'),
        weight=dict(type='GradientShare', share=0.15)))
