_base_ = './both_voc12.py'

# Unlike the paper's, the student is projected to the teacher's channels, and not the teacher to the student's: trained
# projections of both sides can meet in features that say nothing. The evidence, on other data, is in
# docs/benchmarks/compact.md.
model = dict(terms=dict(loss_feature=dict(loss=dict(type='CosineFeatureLoss'))))
