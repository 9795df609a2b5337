_base_ = './r18_ade20k.py'

# The study of random initialization. Learning rate, decay and temperature are those of the pretrained student.
model = dict(pretrained=None)
