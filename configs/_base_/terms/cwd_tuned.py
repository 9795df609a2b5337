_base_ = './cwd.py'

# 30 % of the gradient instead of a weight, so that the term neither drowns the labels nor is lost beside them. Results:
# docs/benchmarks/camvid.md.
terms = dict(loss_cwd=dict(weight=dict(_delete_=True, type='GradientShare', share=0.3)))
