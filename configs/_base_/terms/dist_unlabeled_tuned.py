_base_ = './dist_tuned.py'

# DIST on logits with 60 % of the gradient, where nothing but terms learns from half of each batch.
# Results: docs/benchmarks/camvid.md.
terms = dict(loss_dist=dict(weight=dict(share=0.6)))
