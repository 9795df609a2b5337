# Tian et al., "Adaptive Perspective Distillation" (TPAMI 2023): 10, 10 and 10, of which the published code divides the
# first by the number of classes. (It divides the second by those that occur in the batch, as APDLoss does.)
# Features before the head's dropout: behind it, the student's lack a random tenth of their channels.
terms = dict(
    loss_pi=dict(student='logits', teacher='logits', loss=dict(type='PixelWiseKDLoss'), weight=10 / 19),
    loss_apd=dict(
        student='decode_head.bottleneck',
        teacher='decode_head.bottleneck',
        loss=dict(type='APDLoss', context=10.0, prototype=10.0),
        adapter=dict(type='MLPAdapter')))
critic_optim_wrapper = dict(
    constructor='DistillOptimWrapperConstructor',
    critic=dict(optimizer=dict(type='Adam', lr=1e-5, betas=(0.9, 0.99))),
    paramwise_cfg=dict(custom_keys={'terms': dict(lr_mult=10.0)}))
