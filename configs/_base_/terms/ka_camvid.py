_base_ = './ka.py'

# One epoch of 367 images in batches of 4.
terms = dict(loss_ka=dict(weight=dict(begin=92)))
