_base_ = './r18_voc12.py'

# The study of random initialization. Learning rate, decay and temperature are those of the pretrained student.
model = dict(pretrained=None)
