_base_ = './pi_tuned.py'

# AfDCD on the features that the classifier reads. 30 % of the gradient, half of it for the pixel-wise divergence.
# Results: docs/benchmarks/camvid.md.
terms = dict(
    loss_pi=dict(weight=dict(share=0.15)),
    loss_afdcd=dict(
        student='prelogits',
        teacher='prelogits',
        loss=dict(type='AfDCDLoss', reconstruction=2e-6, contrast=0.005),
        adapter=dict(type='BiasedConvAdapter'),
        weight=dict(type='GradientShare', share=0.15)))
