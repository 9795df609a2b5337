_base_ = './ifvd_paper.py'

# The published code weighs the variation by 200, not 50.
terms = dict(loss_ifv=dict(weight=200.0))
