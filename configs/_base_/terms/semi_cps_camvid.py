_base_ = './semi_cps.py'

# From scratch, the first labels of the peer are random.
unlabeled_terms = dict(
    loss_cps=dict(weight=dict(_delete_=True, type='WarmupWeight', weight=1.0, iters=200)))
