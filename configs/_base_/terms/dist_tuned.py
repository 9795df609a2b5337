# DIST on logits with 30 % of the gradient. `dist.py` also reads auxiliary heads, which many networks lack.
# Results: docs/benchmarks/camvid.md.
terms = dict(
    loss_dist=dict(
        student='logits',
        teacher='logits',
        loss=dict(type='DISTLoss'),
        weight=dict(type='GradientShare', share=0.3)))
