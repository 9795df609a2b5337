# Published: cross-entropy and Dice on hard labels (losses of the student's head), and a divergence from soft labels,
# with a low weight and a high temperature. The published values are unknown; ours are not tuned.
terms = dict(
    loss_kl=dict(student='logits', teacher='logits', loss=dict(type='PixelWiseKDLoss', temperature=8.0), weight=0.1))
