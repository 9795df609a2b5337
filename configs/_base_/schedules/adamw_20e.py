_base_ = './epochs.py'

# As published: at most 20 epochs, with early stopping by validation. Optimizer, learning rate and patience are
# unknown, and not tuned.
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=5e-4, weight_decay=0.01))
param_scheduler = [dict(type='PolyLR', eta_min=0.0, power=0.9, begin=0, end=20, by_epoch=True)]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=20, val_interval=1)
custom_hooks = [
    *_base_.custom_hooks,
    # mIoU is rounded to hundredths of a percent: any improvement counts.
    dict(type='ResumableEarlyStoppingHook', monitor='mIoU', min_delta=0.005, patience=5),
    dict(type='ValidationLossHook'),
]
