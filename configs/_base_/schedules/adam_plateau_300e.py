_base_ = './epochs.py'

# As published: at most 300 epochs, with early stopping by validation.
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3, weight_decay=1e-4))
param_scheduler = [
    dict(type='ReduceOnPlateauLR', monitor='mIoU', rule='greater', factor=0.2, patience=10, min_value=1e-7)
]
train_cfg = dict(by_epoch=True, max_epochs=300, val_interval=1)
custom_hooks = [
    *_base_.custom_hooks,
    # mIoU is rounded to hundredths of a percent: any improvement counts.
    dict(type='ResumableEarlyStoppingHook', monitor='mIoU', min_delta=0.005, patience=30),
    dict(type='ValidationLossHook'),
]
