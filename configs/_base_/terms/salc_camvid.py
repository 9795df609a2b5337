_base_ = './salc.py'

# One epoch of 367 images in batches of 4.
terms = dict(loss_context=dict(weight=dict(begin=92, iters=92)))
