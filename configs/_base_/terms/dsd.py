# Feng et al., "Double Similarity Distillation" (arXiv 2107.08591), with the weights of CIRKD's code. In place of the
# auxiliary logits, which a frozen teacher does not compute, what their head reads.
# Features before the head's dropout: behind it, the student's lack a random tenth of their channels.
terms = dict(
    loss_psd=dict(
        student=['backbone[2]', 'decode_head.bottleneck', 'logits'],
        teacher=['backbone[2]', 'decode_head.bottleneck', 'logits'],
        loss=dict(type='DSDPixelSimilarityLoss'),
        weight=1000.0),
    loss_csd=dict(student='logits', teacher='logits', loss=dict(type='DSDCategorySimilarityLoss'), weight=10.0))
