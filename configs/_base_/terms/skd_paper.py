_base_ = '../schedules/critic.py'

# Liu et al., "Structured Knowledge Distillation" (arXiv 1903.04197): 10, 10 and 0.1.
# Features before the head's dropout: behind it, the student's lack a random tenth of their channels.
terms = dict(
    loss_pi=dict(student='logits', teacher='logits', loss=dict(type='PixelWiseKDLoss'), weight=10.0),
    loss_pa=dict(
        student='decode_head.bottleneck',
        teacher='decode_head.bottleneck',
        loss=dict(type='PairWiseKDLoss'),
        weight=10.0),
    loss_ho=dict(student=['logits', 'inputs'], teacher='logits', loss=dict(type='HolisticKDLoss'), weight=0.1))
