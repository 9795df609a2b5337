_base_ = ['./pi_r101_r18_voc12.py', '../_base_/schedules/critic.py']

# The weights found best on Cityscapes; for this data set none are known.
# Features before the head's dropout: behind it, the student's lack a random tenth of their channels.
model = dict(
    terms=dict(
        loss_pa=dict(
            student='decode_head.bottleneck',
            teacher='decode_head.bottleneck',
            loss=dict(type='PairWiseKDLoss'),
            weight=1e-1),
        loss_ho=dict(
            student=['logits', 'inputs'], teacher='logits', loss=dict(type='HolisticKDLoss'), weight=1e-2)))
optim_wrapper = _base_.critic_optim_wrapper
