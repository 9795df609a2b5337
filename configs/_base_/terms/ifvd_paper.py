_base_ = '../schedules/critic.py'

# Wang et al., "Intra-class Feature Variation Distillation" (ECCV 2020). The paper's weight of 10 for the pixel-wise
# divergence is divided by the 19 classes, as in its code.
# Features before the head's dropout: behind it, the student's lack a random tenth of their channels.
terms = dict(
    loss_pi=dict(student='logits', teacher='logits', loss=dict(type='PixelWiseKDLoss'), weight=10 / 19),
    loss_ifv=dict(
        student='decode_head.bottleneck', teacher='decode_head.bottleneck', loss=dict(type='IFVDLoss'), weight=50.0),
    loss_ho=dict(student='logits', teacher='logits', loss=dict(type='HolisticKDLoss'), weight=1e-3))
