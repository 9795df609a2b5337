_base_ = './pi.py'

# Pixel-wise and pair-wise terms, with the best weight for a PSPNet-R18 on Cityscapes.
# Features before the head's dropout: behind it, the student's lack a random tenth of their channels.
terms = dict(
    loss_pa=dict(
        student='decode_head.bottleneck',
        teacher='decode_head.bottleneck',
        loss=dict(type='PairWiseKDLoss'),
        weight=1e-1))
