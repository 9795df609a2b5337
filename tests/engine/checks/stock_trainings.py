"""Configs as stock ones are, but for what a test changes, and what is found in them."""

from mmengine.config import Config

from mmseg_kd.engine.checks import check_config

ITERATIONS = dict(type='IterBasedTrainLoop', max_iters=1000, val_interval=100)
EPOCHS = dict(type='EpochBasedTrainLoop', max_epochs=20, val_interval=1)
DATASET = dict(type='CityscapesDataset')
POLY = dict(type='PolyLR', eta_min=1e-4, power=0.9, begin=0, end=1000, by_epoch=False)


def config(
    train_cfg=ITERATIONS,
    sampler='InfiniteSampler',
    scheduler=POLY,
    best='mIoU',
    metric=None,
    hooks=(),
    checkpoint=None,
    **more,
):
    """As stock configs are, but for what is given."""
    by_epoch = 'max_epochs' in train_cfg
    return Config(
        dict(
            dict(
                train_cfg=train_cfg,
                train_dataloader=dict(
                    batch_size=8,
                    dataset=DATASET,
                    sampler=dict(dict(type=sampler), **({} if sampler == 'StreamSampler' else dict(shuffle=True))),
                ),
                val_dataloader=dict(batch_size=1, dataset=DATASET, sampler=dict(type='DefaultSampler', shuffle=False)),
                val_cfg=dict(type='ValLoop'),
                val_evaluator=metric or dict(type='IoUMetric', iou_metrics=['mIoU']),
                param_scheduler=scheduler,
                custom_hooks=list(hooks),
                default_hooks=dict(
                    logger=dict(type='LoggerHook', log_metric_by_epoch=by_epoch),
                    checkpoint=dict(
                        dict(type='CheckpointHook', by_epoch=by_epoch, interval=100, save_best=best),
                        **(checkpoint or {}),
                    ),
                ),
            ),
            **more,
        )
    )


def found(*args, **kwargs):
    problems = check_config(config(*args, **kwargs))
    return problems.refusals, problems.warnings


def refusal(*args, **kwargs):
    (text,), warnings = found(*args, **kwargs)
    assert warnings == []
    return text


def warning(*args, **kwargs):
    refusals, (text,) = found(*args, **kwargs)
    assert refusals == []
    return text
