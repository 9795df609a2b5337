_base_ = './pi.py'

# IFVD as compared in arXiv 2309.03659, with the best weight for a PSPNet-R18 on Cityscapes; no weight is known for
# other data sets. `ifvd_paper.py` follows its own paper. Features are read before the head's dropout, which removes a
# random tenth of the student's channels.
terms = dict(
    loss_ifv=dict(
        student='decode_head.bottleneck', teacher='decode_head.bottleneck', loss=dict(type='IFVDLoss'), weight=1e-2))
