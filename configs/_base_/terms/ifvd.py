_base_ = './pi.py'

# IFVD as arXiv 2309.03659 compares it, with the weight found best for a PSPNet-R18 on Cityscapes; for other data sets
# none is known. As its own paper has it: `ifvd_paper.py`. Features before the head's dropout: behind it, the student's
# lack a random tenth of their channels.
terms = dict(
    loss_ifv=dict(
        student='decode_head.bottleneck', teacher='decode_head.bottleneck', loss=dict(type='IFVDLoss'), weight=1e-2))
