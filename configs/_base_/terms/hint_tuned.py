# Hints for the features that the classifier reads, with 30 % of the gradient. One seed, no gain:
# docs/benchmarks/camvid.md.
terms = dict(
    loss_hint=dict(
        student='prelogits',
        teacher='prelogits',
        loss=dict(type='HintLoss'),
        weight=dict(type='GradientShare', share=0.3)))
