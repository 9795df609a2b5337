_base_ = './apd.py'

# Divided by the 150 classes.
terms = dict(loss_pi=dict(weight=10 / 150))
