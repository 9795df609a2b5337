_base_ = ['./pi_tuned.py', '../schedules/critic.py']

# SKD on the features that the classifier reads. 30 % of the gradient, a third of it for each term. Results:
# docs/benchmarks/camvid.md.
terms = dict(
    loss_pi=dict(weight=dict(share=0.1)),
    loss_pa=dict(
        student='prelogits',
        teacher='prelogits',
        loss=dict(type='PairWiseKDLoss'),
        weight=dict(type='GradientShare', share=0.1)),
    loss_ho=dict(
        student=['logits', 'inputs'],
        teacher='logits',
        loss=dict(type='HolisticKDLoss'),
        weight=dict(type='GradientShare', share=0.1)))
