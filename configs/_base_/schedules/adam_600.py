_base_ = './adamw_600.py'

# For the compact network, with the optimizer that was published. A few minutes leave no plateaus to wait for.
optim_wrapper = dict(optimizer=dict(_delete_=True, type='Adam', lr=1e-3, weight_decay=1e-4))
