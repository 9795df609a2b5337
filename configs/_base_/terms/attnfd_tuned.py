# AttnFD on the features that the classifier reads, with 30 % of the gradient. `attnfd.py` also reads the last stage of
# the backbone. Not measured to the end of a training.
terms = dict(
    loss_attnfd=dict(
        student='prelogits',
        teacher='prelogits',
        loss=dict(type='AttnFDLoss'),
        weight=dict(type='GradientShare', share=0.3)))
