_base_ = './pi_r101_effb0_voc12.py'

# The weight found best on Cityscapes; for this data set none is known.
# Features before the head's dropout: behind it, the student's lack a random tenth of their channels.
model = dict(
    terms=dict(
        loss_ifv=dict(
            student='decode_head.bottleneck',
            teacher='decode_head.bottleneck',
            loss=dict(type='IFVDLoss'),
            weight=1e-3)))
