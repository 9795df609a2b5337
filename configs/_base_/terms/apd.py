# Tian et al., "Adaptive Perspective Distillation" (TPAMI 2023): weights 10, 10 and 10. The published code divides the
# first by the number of classes, and the second by the number of classes in the batch, as APDLoss does.
# Features are read before the head's dropout, which removes a random tenth of the student's channels.
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
