_base_ = ['./pi.py', '../schedules/critic.py']

# SKD as compared in arXiv 2309.03659, with the best weights for a PSPNet-R18 on Cityscapes; no weights are known for
# other data sets. `skd_paper.py` follows its own paper. Features are read before the head's dropout, which removes a
# random tenth of the student's channels.
terms = dict(
    loss_pa=dict(
        student='decode_head.bottleneck',
        teacher='decode_head.bottleneck',
        loss=dict(type='PairWiseKDLoss'),
        weight=1e-1),
    loss_ho=dict(student=['logits', 'inputs'], teacher='logits', loss=dict(type='HolisticKDLoss'), weight=1e-2))
