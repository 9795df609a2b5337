# Fan et al., "Augmentation-free Dense Contrastive Knowledge Distillation" (arXiv 2312.04168).
terms = dict(
    loss_pi=dict(student='logits', teacher='logits', loss=dict(type='PixelWiseKDLoss'), weight=1.0),
    loss_afdcd=dict(
        student='backbone[3]',
        teacher='backbone[3]',
        loss=dict(type='AfDCDLoss', reconstruction=2e-6, contrast=0.005),
        adapter=dict(type='BiasedConvAdapter'),
        weight=1.0))
