_base_ = './idd.py'

# One epoch of 367 images, 4 at a time.
terms = dict(loss_pos=dict(weight=dict(begin=92)))
