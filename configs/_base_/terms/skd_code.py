# What the published code of SKD computes: its 10 is a sum over the 8 images of a batch, its pairs are those of 2 x 2
# maxima over the whole map (here of 64 x 64), and its critic sees no image.
# Features before the head's dropout: behind it, the student's lack a random tenth of their channels.
terms = dict(
    loss_pi=dict(student='logits', teacher='logits', loss=dict(type='PixelWiseKDLoss'), weight=80.0),
    loss_pa=dict(
        student='decode_head.bottleneck',
        teacher='decode_head.bottleneck',
        loss=dict(type='MaxPairWiseKDLoss', kernel=32),
        weight=0.5),
    loss_ho=dict(student='logits', teacher='logits', loss=dict(type='HolisticKDLoss'), weight=0.1))
