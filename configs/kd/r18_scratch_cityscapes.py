_base_ = './r18_cityscapes.py'

# The study of random initialisation. Learning rate, decay and temperature are those of the pretrained student.
model = dict(pretrained=None)
