_base_ = './pi.py'

# 30 % of the gradient instead of a weight. Results: docs/benchmarks/camvid.md.
terms = dict(loss_pi=dict(weight=dict(_delete_=True, type='GradientShare', share=0.3)))
