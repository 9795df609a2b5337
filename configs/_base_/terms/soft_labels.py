# Published: cross-entropy and Dice on hard labels, which are losses of the student's head, and a divergence from soft
# ones, best with a low weight and a high temperature. How low and how high is not known; these are not tuned.
terms = dict(
    loss_kl=dict(student='logits', teacher='logits', loss=dict(type='PixelWiseKDLoss', temperature=8.0), weight=0.1))
