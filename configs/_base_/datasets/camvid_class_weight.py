_base_ = './camvid.py'

# The square root of (median frequency / frequency) of each class in the training set. Rare classes count more; without
# the root, IoU is lower.
class_weight = [0.53, 0.45, 2.19, 0.39, 1.0, 0.65, 1.96, 1.41, 0.89, 2.53, 2.97]
