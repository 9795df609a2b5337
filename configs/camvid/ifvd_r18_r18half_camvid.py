_base_ = './pi_r18_r18half_camvid.py'

# Weight as found best for a ResNet-18 student on Cityscapes.
model = dict(
    terms=dict(
        loss_ifv=dict(
            student='decode_head.bottleneck',
            teacher='decode_head.bottleneck',
            loss=dict(type='IFVDLoss'),
            weight=1e-2)))
