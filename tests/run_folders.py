"""Work directories as a training leaves them, without the training."""

import copy
import json

NETWORK = dict(
    type='EncoderDecoder',
    backbone=dict(type='ResNetV1c', depth=18, _scope_='mmseg'),
    decode_head=dict(type='PSPHead', num_classes=3, loss_decode=dict(type='CrossEntropyLoss', loss_weight=1.0)),
    data_preprocessor=dict(type='SegDataPreProcessor', mean=[1.0, 2.0, 3.0], size=(128, 128)),
)
PIPELINE = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomCrop', crop_size=(128, 128)),
    dict(type='PackSegInputs'),
]
TEACHER = dict(config='mmseg_kd::camvid/r18_camvid.py', checkpoint='work_dirs/r18_camvid/iter_1200.pth')
PI = dict(
    loss_pi=dict(student='logits', teacher='logits', loss=dict(type='PixelWiseKDLoss', temperature=4.0), weight=1.0)
)
CWD = dict(loss_cwd=dict(student='logits', teacher='logits', loss=dict(type='CWDLoss', temperature=4.0), weight=3.0))

HEAD = """{date} - mmengine - INFO -
------------------------------------------------------------
System environment:
    sys.platform: linux
    numpy_random_seed: {seed}

Runtime environment:
    cudnn_benchmark: True
    seed: {seed}
    Distributed launcher: none
    GPU number: {processes}
------------------------------------------------------------

"""


def alone(**changes):
    """Config of a student that learns by itself. The keys of the changes are dotted, with ``__`` for the dots."""
    dataset = dict(type='CamVidDataset', data_root='data/camvid', pipeline=PIPELINE)
    config = dict(
        model=NETWORK,
        train_dataloader=dict(batch_size=4, num_workers=2, dataset=dataset),
        val_dataloader=dict(batch_size=1, dataset=dict(type='CamVidDataset', data_root='data/camvid', pipeline=[])),
        val_evaluator=dict(type='IoUMetric', iou_metrics=['mIoU']),
        optim_wrapper=dict(optimizer=dict(type='AdamW', lr=0.002, weight_decay=0.01)),
        param_scheduler=[dict(type='PolyLR', begin=0, end=300)],
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=300, val_interval=100),
        custom_hooks=[dict(type='ExportStudentHook')],
        load_from=None,
        work_dir='/somewhere',
    )
    return changed(config, **changes)


def distilled(terms=None, **changes):
    """Config of the same student with a teacher."""
    config = alone()
    config['model'] = dict(type='Distiller', student=config['model'], teacher=TEACHER, terms=terms or PI)
    return changed(config, **changes)


def changed(config, **changes):
    config = copy.deepcopy(config)
    for key, value in changes.items():
        node, *_, last = config, *key.split('__')
        for part in key.split('__')[:-1]:
            node = node[int(part) if part.isdigit() else part]
        node[last] = value
    return config


def table(classes):
    """The table of IoUMetric, drawn as prettytable draws it."""
    cells = [('Class', 'IoU', 'Acc')] + [(name, f'{iou}', '50.0') for name, iou in classes.items()]
    widths = [max(map(len, column)) + 2 for column in zip(*cells)]
    rule = '+' + '+'.join('-' * width for width in widths) + '+'
    lines = ['|' + '|'.join(cell.center(width) for cell, width in zip(row, widths)) + '|' for row in cells]
    return '\n'.join([rule, lines[0], rule, *lines[1:], rule])


def write_run(
    folder,
    config,
    mious,
    seed=0,
    name=None,
    classes=None,
    until=None,
    resumed=0,
    started='20261121_114443',
    time=0.25,
    memory=None,
    processes=1,
    sweep=None,
):
    """One start of a training that logs every 20 iterations.

    Args:
        folder: work directory.
        config: without the seed, which is added unless it is None.
        mious: of the validations, which are spread evenly over the iterations; the last at the end.
        seed: of training.
        name: of the config file in the folder.
        classes: IoU by class in the last validation.
        until: the iteration at which the process was killed.
        resumed: the iteration that it went on from.
        started: timestamp.
        time: logged, of every iteration.
        memory: logged, in MiB.
        processes: that train together.
        sweep: contents of run.json.
    """
    config = dict(config, randomness=dict(seed=seed)) if seed is not None else config
    start = folder / started
    (start / 'vis_data').mkdir(parents=True)
    text = ''.join(f'{key} = {value!r}\n' for key, value in config.items())
    (start / 'vis_data' / 'config.py').write_text(text, encoding='utf-8')
    if name:
        (folder / f'{name}.py').write_text(text, encoding='utf-8')
    end = config['train_cfg']['max_iters']
    log = HEAD.format(date='2026/11/21 11:44:43', seed=12345 if seed is None else seed, processes=processes)
    if resumed:
        log += f'2026/11/21 11:44:44 - mmengine - INFO - resumed epoch: 0, iter: {resumed}\n'
    validations = {end * (i + 1) // len(mious): miou for i, miou in enumerate(mious)}
    lines = []
    for iteration in range(resumed + 1, (until or end) + 1):
        if iteration % 20 == 0:
            entry = dict(lr=1e-3, data_time=0.01, loss=9.0, time=time, iter=iteration, step=iteration)
            entry.update({'decode.loss_ce': 300 / (iteration + 100), 'decode.acc_seg': 70.0, 'aux.loss_ce': 5.0})
            lines.append(dict(entry, memory=memory) if memory else entry)
            log += f'2026/11/21 11:45:00 - mmengine - INFO - Iter(train) [{iteration}/{end}]  time: {time}\n'
        if iteration in validations and iteration != until:
            miou = validations[iteration]
            lines.append(dict(aAcc=70.0, mIoU=miou, mAcc=30.0, time=0.07, step=iteration))
            if classes:
                # Only the last table counts.
                shown = classes if iteration == end else dict.fromkeys(classes, 1.0)
                log += (
                    '2026/11/21 11:46:09 - mmengine - INFO - per class results:\n'
                    f'2026/11/21 11:46:09 - mmengine - INFO - \n{table(shown)}\n'
                )
            log += f'2026/11/21 11:46:09 - mmengine - INFO - Iter(val) [101/101]    mIoU: {miou:.4f}\n'
    if lines:
        (start / 'vis_data' / 'scalars.json').write_text(''.join(json.dumps(line) + '\n' for line in lines))
    (start / f'{started}.log').write_text(log, encoding='utf-8')
    if sweep:
        (folder / 'run.json').write_text(json.dumps(sweep))
    return folder


def sweep_entry(stage, candidate, params, seed=0, budget=None, state='complete', error=None):
    """What a sweep writes into the folder of a run."""
    return dict(
        sweep='demo',
        stage=stage,
        candidate=candidate,
        params=params,
        seed=seed,
        iterations=300,
        budget=budget or dict(kind='iterations', value=300),
        step_seconds=0.25,
        state=state,
        error=error,
        miou=None,
    )
