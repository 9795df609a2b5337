_base_ = './semi_cps.py'

unlabeled_terms = dict(loss_cps=dict(weight=5.0))
