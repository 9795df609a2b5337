# Park and Heo, "Knowledge Distillation for Semantic Segmentation Using Channel and Spatial Correlations and Adaptive
# Cross Entropy" (Sensors 2020). The weights are ours.
terms = dict(
    loss_csc=dict(student='backbone[3]', teacher='backbone[3]', loss=dict(type='CSCLoss'), weight=1.0),
    loss_ace=dict(student='logits', teacher='logits', loss=dict(type='ACELoss'), weight=1.0))
# The adaptive cross-entropy replaces the student's own.
student = dict(decode_head=dict(loss_decode=dict(loss_weight=0.0)))
