_base_ = ['./pi.py', '../schedules/critic.py']

# Pixel-wise and holistic terms, with the best weight for a PSPNet-R18 on Cityscapes.
terms = dict(
    loss_ho=dict(student=['logits', 'inputs'], teacher='logits', loss=dict(type='HolisticKDLoss'), weight=1e-2))
