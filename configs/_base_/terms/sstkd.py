_base_ = '../schedules/critic.py'

# Ji et al., "Structural and Statistical Texture Knowledge Distillation" (arXiv 2305.03944); the weights are from
# notes on the paper.
terms = dict(
    loss_pi=dict(student='logits', teacher='logits', loss=dict(type='PixelWiseKDLoss'), weight=5.0),
    loss_ho=dict(student=['logits', 'inputs'], teacher='logits', loss=dict(type='HolisticKDLoss'), weight=0.01),
    loss_str=dict(
        student='backbone[0]', teacher='backbone[0]', loss=dict(type='SSTKDStructuralTextureLoss'), weight=0.9),
    loss_sta=dict(
        student='backbone[0]', teacher='backbone[0]', loss=dict(type='SSTKDStatisticalTextureLoss'), weight=1.15))
