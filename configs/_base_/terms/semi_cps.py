# Chen et al., "Semi-Supervised Semantic Segmentation with Cross Pseudo Supervision" (CVPR 2021, arXiv 2106.01226), with
# CutMix; the weight is that for VOC.
distiller = 'CrossPseudoSupervision'
mix = dict(type='CutMix')
unlabeled_terms = dict(
    loss_cps=dict(student='logits', teacher='unmixed.logits', loss=dict(type='PseudoLabelLoss'), weight=1.0))
semi_hooks = []
