_base_ = ['./pi.py', '../schedules/critic.py']

# SKD as arXiv 2309.03659 compares it, with the weights found best for a PSPNet-R18 on Cityscapes; for other data sets
# none are known. As its own paper has it: `skd_paper.py`. Features before the head's dropout: behind it, the student's
# lack a random tenth of their channels.
terms = dict(
    loss_pa=dict(
        student='decode_head.bottleneck',
        teacher='decode_head.bottleneck',
        loss=dict(type='PairWiseKDLoss'),
        weight=1e-1),
    loss_ho=dict(student=['logits', 'inputs'], teacher='logits', loss=dict(type='HolisticKDLoss'), weight=1e-2))
