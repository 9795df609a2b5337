_base_ = './cirkd.py'

# The second version of CIRKD (2025) adds relations of channels, and the features.
terms = dict(
    loss_channel=dict(
        student='decode_head.bottleneck',
        teacher='decode_head.bottleneck',
        loss=dict(type='CIRKDChannelLoss'),
        weight=1.0),
    loss_hint=dict(
        student='decode_head.bottleneck', teacher='decode_head.bottleneck', loss=dict(type='HintLoss'), weight=1.0))
