# For terms that train an auxiliary module (`critic`), such as a discriminator. It uses the student's forward pass, and
# the same schedule. In a config, set `optim_wrapper = _base_.critic_optim_wrapper`; `--terms` does this by itself.
critic_optim_wrapper = dict(
    constructor='DistillOptimWrapperConstructor',
    critic=dict(optimizer=dict(type='Adam', lr=4e-4, betas=(0.9, 0.99))))
