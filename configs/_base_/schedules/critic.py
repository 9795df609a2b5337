# For adversarial terms: the critic learns beside the student, from the same forward pass, and its learning rate follows
# the same schedule. A config takes it over with `optim_wrapper = _base_.critic_optim_wrapper`; `--terms` does so by
# itself.
critic_optim_wrapper = dict(
    constructor='DistillOptimWrapperConstructor',
    critic=dict(optimizer=dict(type='Adam', lr=4e-4, betas=(0.9, 0.99))))
