_base_ = './r18_ade20k.py'

# The study of random initialisation. Learning rate, decay and temperature are those of the pretrained student.
model = dict(pretrained=None)
