# Yang et al., "Masked Generative Distillation" (arXiv 2205.01529).
terms = dict(
    loss_mgd=dict(
        student='backbone[3]',
        teacher='backbone[3]',
        loss=dict(type='MaskedGenerativeLoss'),
        adapter=dict(type='BiasedConvAdapter'),
        weight=2e-5))
