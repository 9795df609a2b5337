# Liu et al., "BPKD: Boundary Privileged Knowledge Distillation" (arXiv 2306.08075).
terms = dict(
    loss_bpkd=dict(student='logits', teacher='logits', loss=dict(type='BPKDLoss', edge=100.0, body=20.0), weight=1.0))
