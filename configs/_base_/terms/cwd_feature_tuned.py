# CWD on the features that the classifier reads, with 30 % of the gradient. Results: docs/benchmarks/camvid.md.
terms = dict(
    loss_cwd=dict(
        student='prelogits',
        teacher='prelogits',
        loss=dict(type='CWDLoss', temperature=4.0),
        weight=dict(type='GradientShare', share=0.3)))
