_base_ = './pi.py'

# 30 % of the gradient instead of a weight.
terms = dict(loss_pi=dict(weight=dict(_delete_=True, type='GradientShare', share=0.3)))
