_base_ = './bpkd.py'

# 30 % of the gradient instead of a weight. Results: docs/benchmarks/camvid.md.
terms = dict(loss_bpkd=dict(weight=dict(_delete_=True, type='GradientShare', share=0.3)))
