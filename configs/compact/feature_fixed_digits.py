_base_ = './feature_digits.py'

# The student is projected to the teacher's channels, and not the teacher to the student's: what both learn cannot meet in
# features that say nothing.
model = dict(terms=dict(loss_feature=dict(loss=dict(type='CosineFeatureLoss'))))
