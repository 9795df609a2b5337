# Published: 0.7 CE + 0.3 (response + feature), temperature 4. The 0.7 is the `loss_weight` of the student's head.
#
# Response: the published cross-entropy of softened outputs has the same gradient as PixelWiseKDLoss. The latter is
# multiplied by temperature^2 = 16, which the paper does not have: 0.3 / 16 removes this factor. With the factor, the
# term delays the student (docs/benchmarks/compact.md).
# Feature: four levels; the teacher's features are resized, and projected to the student's channels.
terms = dict(
    loss_response=dict(
        student='logits', teacher='logits', loss=dict(type='PixelWiseKDLoss', temperature=4.0), weight=0.3 / 16),
    loss_feature=dict(
        student=['backbone[1]', 'backbone[2]', 'backbone[3]', 'backbone[4]'],
        teacher=['backbone[0]', 'backbone[1]', 'backbone[2]', 'backbone[3]'],
        loss=dict(type='ProjectedCosineLoss'),
        weight=0.3))
