# Shu et al., "Channel-wise Knowledge Distillation for Dense Prediction" (arXiv 2011.13256), on logits.
terms = dict(
    loss_cwd=dict(student='logits', teacher='logits', loss=dict(type='CWDLoss', temperature=4.0), weight=3.0))
