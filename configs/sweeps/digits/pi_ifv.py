_base_ = './pi.py'

model = dict(
    terms=dict(
        loss_ifv=dict(
            student='decode_head.fusion_conv',
            teacher='decode_head.fusion_conv',
            loss=dict(type='IFVDLoss'),
            weight=1.0)))
