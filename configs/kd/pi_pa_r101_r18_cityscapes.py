_base_ = './pi_r101_r18_cityscapes.py'

# Features before the head's dropout: behind it, the student's lack a random tenth of their channels.
model = dict(
    terms=dict(
        loss_pa=dict(
            student='decode_head.bottleneck',
            teacher='decode_head.bottleneck',
            loss=dict(type='PairWiseKDLoss'),
            weight=1e-1)))
