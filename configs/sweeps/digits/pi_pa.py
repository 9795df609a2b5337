_base_ = './pi.py'

model = dict(
    terms=dict(
        loss_pa=dict(
            student='decode_head.fusion_conv',
            teacher='decode_head.fusion_conv',
            loss=dict(type='PairWiseKDLoss'),
            weight=1.0)))
