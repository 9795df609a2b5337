_base_ = './adamw_800.py'

# For the compact network on the digits. From scratch and in so few iterations it needs a high learning rate, too.
optim_wrapper = dict(optimizer=dict(_delete_=True, type='Adam', lr=1e-2, weight_decay=1e-4))
