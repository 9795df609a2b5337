_base_ = './idd.py'

# One epoch of 367 images in batches of 4.
terms = dict(loss_pos=dict(weight=dict(begin=92)))
