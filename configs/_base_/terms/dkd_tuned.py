_base_ = './dkd.py'

# 30 % of the gradient instead of a weight. Results: docs/benchmarks/camvid.md.
terms = dict(loss_dkd=dict(weight=dict(_delete_=True, type='GradientShare', share=0.3)))
