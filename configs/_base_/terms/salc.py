# An et al., "Efficient Semantic Segmentation via Self-Attention and Self-Distillation" (T-ITS 2022). The weights are
# ours; self-distillation starts after the deep stages have learned something.
terms = dict(
    loss_attention=dict(student='backbone[3]', teacher='backbone[3]', loss=dict(type='SALCAttentionLoss'), weight=1.0),
    loss_context=dict(
        student=['backbone[1]', 'backbone[2]', 'backbone[3]'],
        teacher=[],
        loss=dict(type='SALCContextLoss'),
        weight=dict(type='WarmupWeight', weight=1.0, begin=2000, iters=2000)))
