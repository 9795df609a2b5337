# As in CIRKD's comparison: weight 10000, with the pixel-wise divergence.
# Features before the head's dropout: behind it, the student's lack a random tenth of their channels.
terms = dict(
    loss_pi=dict(student='logits', teacher='logits', loss=dict(type='PixelWiseKDLoss'), weight=1.0),
    loss_at=dict(
        student='decode_head.bottleneck',
        teacher='decode_head.bottleneck',
        loss=dict(type='AttentionTransferLoss'),
        weight=1e4))
