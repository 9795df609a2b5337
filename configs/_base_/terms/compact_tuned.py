_base_ = './compact.py'

# Unlike in the paper, the student is projected to the teacher's channels. With trained projections of the teacher, the
# features collapse to constants on the digits (docs/benchmarks/compact.md).
terms = dict(loss_feature=dict(loss=dict(type='CosineFeatureLoss')))
