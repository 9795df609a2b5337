# AttnFD on the features that the classifier reads, with 30 % of the gradient. `attnfd.py` also reads the last stage of
# the backbone. Results: docs/benchmarks/camvid.md.
terms = dict(
    loss_attnfd=dict(
        student='prelogits',
        teacher='prelogits',
        loss=dict(type='AttnFDLoss'),
        weight=dict(type='GradientShare', share=0.3)))
