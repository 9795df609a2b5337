# Feng et al., "Double Similarity Distillation" (arXiv 2107.08591), with the layers and weights of CIRKD's code.
# Features before the head's dropout: behind it, the student's lack a random tenth of their channels.
terms = dict(
    loss_psd=dict(
        student=['auxiliary_head', 'decode_head.bottleneck', 'logits'],
        teacher=['auxiliary_head', 'decode_head.bottleneck', 'logits'],
        loss=dict(type='DSDPixelSimilarityLoss'),
        weight=1000.0),
    loss_csd=dict(student='logits', teacher='logits', loss=dict(type='DSDCategorySimilarityLoss'), weight=10.0))
