_base_ = './cwd_tuned.py'

# For networks with the same type of backbone and head: hints for the features that the classifier reads, with another
# 15 % of the gradient.
terms = dict(
    loss_hint=dict(
        student='prelogits',
        teacher='prelogits',
        loss=dict(type='HintLoss'),
        weight=dict(type='GradientShare', share=0.15)))
