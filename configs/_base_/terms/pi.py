# Niemann et al., "Towards Comparable Knowledge Distillation in Semantic Image Segmentation" (arXiv 2309.03659): the
# divergence of every pixel. The best temperature is 1, except on Cityscapes (see its configs).
terms = dict(
    loss_pi=dict(student='logits', teacher='logits', loss=dict(type='PixelWiseKDLoss', temperature=1.0), weight=0.1))
