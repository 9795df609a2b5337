_base_ = './pi_r101_r18_cityscapes.py'

# The study of random initialisation. Learning rate, decay and temperature are those of the pretrained student.
model = dict(student=dict(pretrained=None))
