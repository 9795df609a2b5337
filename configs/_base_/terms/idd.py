_base_ = '../schedules/critic.py'

# Zhang et al., "Distilling Inter-Class Distance for Semantic Segmentation" (arXiv 2205.03650): all terms of SKD,
# channel-wise distillation, and two of its own. Its weights are unknown to us; we use SKD's and CWD's weights, and
# our own for the last two.
# Features before the head's dropout: behind it, the student's lack a random tenth of their channels.
terms = dict(
    loss_pi=dict(student='logits', teacher='logits', loss=dict(type='PixelWiseKDLoss'), weight=10.0),
    loss_pa=dict(
        student='decode_head.bottleneck',
        teacher='decode_head.bottleneck',
        loss=dict(type='PairWiseKDLoss'),
        weight=10.0),
    loss_ho=dict(student=['logits', 'inputs'], teacher='logits', loss=dict(type='HolisticKDLoss'), weight=0.1),
    loss_cwd=dict(student='logits', teacher='logits', loss=dict(type='CWDLoss', temperature=4.0), weight=3.0),
    loss_icd=dict(
        student='decode_head.bottleneck',
        teacher='decode_head.bottleneck',
        loss=dict(type='IDDInterClassDistanceLoss'),
        weight=0.1),
    loss_pos=dict(
        student='decode_head.bottleneck',
        teacher='decode_head.bottleneck',
        loss=dict(type='IDDPositionLoss'),
        weight=dict(type='DelayedWeight', weight=1.0, begin=2000)))
