# Shu et al., "Channel-wise Knowledge Distillation for Dense Prediction" (arXiv 2011.13256), on features.
# Features before the head's dropout: behind it, the student's lack a random tenth of their channels.
terms = dict(
    loss_cwd=dict(
        student='decode_head.bottleneck',
        teacher='decode_head.bottleneck',
        loss=dict(type='CWDLoss', temperature=4.0),
        weight=50.0))
