_base_ = './semi_mt.py'

# From scratch, the first outputs of the teacher are random.
weight = dict(_delete_=True, type='WarmupWeight', weight=50.0, iters=200)
terms = dict(loss_consistency=dict(weight=weight))
unlabeled_terms = dict(loss_unlabeled_consistency=dict(weight=weight))
