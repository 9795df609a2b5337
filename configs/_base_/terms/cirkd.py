# Yang et al., "Cross-Image Relational Knowledge Distillation" (arXiv 2204.06986): 1, 1 and 0.1.
# Features before the head's dropout: behind it, the student's lack a random tenth of their channels.
terms = dict(
    loss_pi=dict(student='logits', teacher='logits', loss=dict(type='PixelWiseKDLoss'), weight=1.0),
    loss_batch=dict(
        student='decode_head.bottleneck',
        teacher='decode_head.bottleneck',
        loss=dict(type='CIRKDMiniBatchLoss'),
        weight=1.0),
    loss_memory=dict(
        student='decode_head.bottleneck',
        teacher='decode_head.bottleneck',
        loss=dict(type='CIRKDMemoryLoss'),
        weight=0.1))
