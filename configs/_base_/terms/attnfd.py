# Mansourian et al., "Attention-guided Feature Distillation" (arXiv 2403.05451), at the last stage and after the
# pyramid.
# Features before the head's dropout: behind it, the student's lack a random tenth of their channels.
terms = dict(
    loss_attnfd=dict(
        student=['backbone[3]', 'decode_head.bottleneck'],
        teacher=['backbone[3]', 'decode_head.bottleneck'],
        loss=dict(type='AttnFDLoss'),
        weight=2.0))
