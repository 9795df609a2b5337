# Hinton et al., "Distilling the Knowledge in a Neural Network" (arXiv 1503.02531), for every pixel. Ali et al., "The
# Surprising Effectiveness of Canonical Knowledge Distillation for Semantic Segmentation" (arXiv 2604.25530) finds it
# better than most later methods; its weight and temperature are unknown to us.
terms = dict(
    loss_pi=dict(student='logits', teacher='logits', loss=dict(type='PixelWiseKDLoss'), weight=1.0))
