_base_ = './ka.py'

# One epoch of 367 images, 4 at a time.
terms = dict(loss_ka=dict(weight=dict(begin=92)))
