_base_ = './pi_tuned.py'

# Hints for the features that the classifier reads. 30 % of the gradient, half of it for the pixel-wise divergence:
# hints alone hardly gained. Results: docs/benchmarks/camvid.md.
terms = dict(
    loss_pi=dict(weight=dict(share=0.15)),
    loss_hint=dict(
        student='prelogits',
        teacher='prelogits',
        loss=dict(type='HintLoss'),
        weight=dict(type='GradientShare', share=0.15)))
