# The published code of SKD. It differs from the paper (skd_paper.py) in all three terms: the divergence is summed over
# the images; the pairs are max-pooled to 2 x 2 nodes, without gradient through the norms; the discriminator sees
# batch-normalized raw logits and no image, and its own loss is multiplied by 0.1.
# Features before the head's dropout: behind it, the student's lack a random tenth of their channels.
terms = dict(
    loss_pi=dict(student='logits', teacher='logits', loss=dict(type='SummedPixelWiseKDLoss'), weight=10.0),
    loss_pa=dict(
        student='decode_head.bottleneck',
        teacher='decode_head.bottleneck',
        loss=dict(type='HalfMapPairWiseKDLoss'),
        weight=0.5),
    loss_ho=dict(student='logits', teacher='logits', loss=dict(type='RawHolisticKDLoss'), weight=0.1))
critic_optim_wrapper = dict(
    constructor='DistillOptimWrapperConstructor',
    critic=dict(optimizer=dict(type='SGD', lr=4e-4, momentum=0.9, weight_decay=5e-4)))
