# He et al., "Knowledge Adaptation for Efficient Semantic Segmentation" (arXiv 1903.04688): for one epoch (372
# iterations of 8 Cityscapes images), an auto-encoder learns to encode the teacher's features; then the student learns
# this code.
# Features before the head's dropout: behind it, the student's lack a random tenth of their channels.
terms = dict(
    loss_ka=dict(
        student='decode_head.bottleneck',
        teacher='decode_head.bottleneck',
        loss=dict(type='KATranslatorLoss'),
        weight=dict(type='DelayedWeight', weight=1.0, begin=372)))
critic_optim_wrapper = dict(
    constructor='DistillOptimWrapperConstructor',
    critic=dict(optimizer=dict(type='SGD', lr=0.1, weight_decay=1e-3)))
