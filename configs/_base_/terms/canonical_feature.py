# Romero et al., "FitNets" (arXiv 1412.6550), on the input of the classifier, with the student's own loss. Ali et
# al., "The Surprising Effectiveness of Canonical Knowledge Distillation for Semantic Segmentation" (arXiv 2604.25530)
# finds it better than most later methods; its weight is unknown to us.
# Features before the head's dropout: behind it, the student's lack a random tenth of their channels.
terms = dict(
    loss_hint=dict(
        student='decode_head.bottleneck', teacher='decode_head.bottleneck', loss=dict(type='HintLoss'), weight=1.0))
