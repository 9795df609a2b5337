_base_ = './compact.py'

# Unlike the paper's, the student is projected to the teacher's channels, and not the teacher to the student's: trained
# projections of both sides can meet in features that say nothing. The evidence, on CamVid and the digits, is in
# docs/benchmarks/compact.md.
terms = dict(loss_feature=dict(loss=dict(type='CosineFeatureLoss')))
