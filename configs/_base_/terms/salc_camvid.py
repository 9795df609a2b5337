_base_ = './salc.py'

# One epoch of 367 images, 4 at a time.
terms = dict(loss_context=dict(weight=dict(begin=92, iters=92)))
