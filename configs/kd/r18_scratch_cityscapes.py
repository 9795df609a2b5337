_base_ = './r18_cityscapes.py'

# Random initialization. Learning rate, weight decay and temperature are those of the pretrained student.
model = dict(pretrained=None)
