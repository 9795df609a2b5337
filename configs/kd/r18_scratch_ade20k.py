_base_ = './r18_ade20k.py'

# Random initialization. Learning rate, weight decay and temperature are those of the pretrained student.
model = dict(pretrained=None)
