_base_ = './r18_cityscapes.py'

# The study of random initialization. Learning rate, decay and temperature are those of the pretrained student.
model = dict(pretrained=None)
