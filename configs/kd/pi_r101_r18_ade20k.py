_base_ = '../_base_/tasks/r101_r18_ade20k.py'

# arXiv 2309.03659; what differs from the paper: docs/papers.md.
model = dict(
    terms=dict(
        loss_pi=dict(
            student='logits', teacher='logits', loss=dict(type='PixelWiseKDLoss', temperature=1.0), weight=0.1)))
