_base_ = ['./pi_r101_r18_cityscapes.py', '../_base_/schedules/critic.py']

model = dict(
    terms=dict(
        loss_ho=dict(
            student=['logits', 'inputs'], teacher='logits', loss=dict(type='HolisticKDLoss'), weight=1e-2)))
optim_wrapper = _base_.critic_optim_wrapper
