"""The options of tools/test.py, on whatever a config has of what they need."""

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from mmseg.registry import METRICS, MODELS
from PIL import Image

from mmseg_kd.engine.tool_options import augment_data, augment_model, paint_predictions, write_predictions
from mmseg_kd.testing.toys import toy_segmentor

LOAD = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackSegInputs')]
IOU = dict(type='IoUMetric', iou_metrics=['mIoU'])
TTA = [
    LOAD[0],
    dict(
        type='TestTimeAug',
        transforms=[
            [dict(type='RandomFlip', prob=prob, direction='horizontal') for prob in (0.0, 1.0)],
            LOAD[1:2],
            LOAD[2:],
        ],
    ),
]


@pytest.fixture
def config(tmp_path, request):
    """Two images in a data set that others wrap, and a config without anything that is not asked for."""
    for name in ('img', 'ann'):
        (tmp_path / name).mkdir()
    for i in range(2):
        Image.fromarray(np.full((32, 32, 3), (250, 10, 20), np.uint8)).save(tmp_path / 'img' / f'{i}.png')
        Image.fromarray(np.full((32, 32), i, np.uint8)).save(tmp_path / 'ann' / f'{i}.png')
    data = dict(
        type='BaseSegDataset',
        data_root=str(tmp_path),
        img_suffix='.png',
        pipeline=LOAD,
        data_prefix=dict(img_path='img', seg_map_path='ann'),
        metainfo=dict(classes=tuple('abcd')),
    )
    return Config(
        dict(
            model=toy_segmentor(4),
            default_scope='mmseg',
            log_level='ERROR',
            work_dir=str(tmp_path / 'work'),
            experiment_name=request.node.name,
            test_dataloader=dict(
                batch_size=1,
                num_workers=0,
                sampler=dict(type='DefaultSampler', shuffle=False),
                dataset=dict(type='ConcatDataset', datasets=[data]),
            ),
            test_evaluator=[IOU],
            test_cfg=dict(type='TestLoop'),
        )
    )


class CountingMetric(METRICS.get('IoUMetric')):
    """One of a user, whose own arguments hide those of MMSegmentation."""

    def __init__(self, **arguments):
        super().__init__(**arguments)


@pytest.mark.parametrize(
    'evaluator',
    [
        dict(IOU),
        [dict(IOU)],
        [dict(type='DumpResults', out_file_path='x.pkl'), dict(IOU)],
        dict(metrics=[dict(IOU)]),
        [dict(type=CountingMetric)],
    ],
)
def test_the_first_metric_that_can_writes_the_predictions(evaluator, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the metric makes the folder
    config = Config(dict(test_evaluator=evaluator))
    write_predictions(config, 'maps')
    assert str(config.test_evaluator).count("'output_dir': 'maps'") == 1
    assert 'keep_results' not in str(config.test_evaluator)
    writer = config.test_evaluator
    writer = writer['metrics'] if 'metrics' in writer else writer
    writer = writer[-1] if isinstance(writer, list) else writer
    assert METRICS.build(writer).output_dir == 'maps'


def test_a_metric_that_would_remove_the_predictions_keeps_them():
    config = Config(dict(test_evaluator=[dict(type='CityscapesMetric', output_dir='elsewhere')]))
    write_predictions(config, 'maps')
    assert config.test_evaluator == [dict(type='CityscapesMetric', output_dir='maps', keep_results=True)]


def test_metrics_that_write_nothing_are_named():
    with pytest.raises(
        ValueError,
        match=r"--out needs a metric that writes label maps; add dict\(type='IoUMetric'\) "
        'to test_evaluator, which has DumpResults',
    ):
        write_predictions(Config(dict(test_evaluator=dict(type='DumpResults', out_file_path='x.pkl'))), 'maps')
    with pytest.raises(ValueError, match='which has none'):
        write_predictions(Config(dict(test_evaluator=None)), 'maps')


def test_views_need_a_pipeline_that_makes_them(config):
    with pytest.raises(ValueError, match='--tta needs a tta_pipeline in the config'):
        augment_model(config)


def test_everything_together_on_a_config_that_has_none_of_it(config, tmp_path):
    """Predictions are averaged, written and painted without tta_model, default_hooks or visualizer."""
    torch.manual_seed(0)
    plain = MODELS.build(config.model).eval()
    torch.save(plain.state_dict(), tmp_path / 'weights.pth')
    config.tta_pipeline = TTA
    augment_model(config)
    config.model.module.init_cfg = None
    paint_predictions(config, str(tmp_path / 'painted'))
    write_predictions(config, str(tmp_path / 'maps'))
    config.visualizer.name = config.experiment_name
    runner = Runner.from_cfg(config)
    augment_data(runner)
    runner.model.module.load_state_dict(plain.state_dict())
    runner.test()
    assert sorted(path.name for path in (tmp_path / 'maps').iterdir()) == ['0.png', '1.png']
    painted = sorted(path.name for path in (tmp_path / 'painted').rglob('*.png'))
    assert painted == ['test_0.png_1.png', 'test_1.png_2.png']

    image = torch.from_numpy(np.full((32, 32, 3), (250, 10, 20), np.float32)).permute(2, 0, 1)[None]
    mean, std = (getattr(plain.data_preprocessor, name).reshape(1, 3, 1, 1) for name in ('mean', 'std'))
    with torch.no_grad():
        views = [plain((each - mean) / std, mode='tensor') for each in (image, image.flip(3))]
        views = [torch.nn.functional.interpolate(view, size=(32, 32), mode='bilinear').softmax(1) for view in views]
    mean = (views[0] + views[1].flip(3))[0]
    expected, margin = mean.argmax(0).numpy(), mean.topk(2, dim=0).values
    sure = (margin[0] - margin[1] > 1e-3).numpy()
    assert sure.mean() > 0.5 and (np.asarray(Image.open(tmp_path / 'maps' / '0.png')) == expected)[sure].all()


@pytest.mark.parametrize(
    'given',
    [
        dict(),
        dict(default_hooks=dict(visualization=None)),
        dict(
            default_hooks=dict(visualization=dict(type='SegVisualizationHook', interval=7)),
            visualizer=dict(type='Visualizer'),
        ),
        dict(
            visualizer=dict(
                type='SegLocalVisualizer', vis_backends=[dict(type='LocalVisBackend', save_dir='elsewhere')]
            )
        ),
    ],
)
def test_what_painting_needs_is_added(given):
    config = Config(given)
    paint_predictions(config, 'painted', 1.5)
    assert config.visualizer == dict(
        type='SegLocalVisualizer', name='visualizer', save_dir='painted', vis_backends=[dict(type='LocalVisBackend')]
    )
    hook = config.default_hooks.visualization
    assert (hook.type, hook.draw, hook.show, hook.wait_time) == ('LoadedImageHook', True, False, 1.5)
    assert hook.get('interval') == (7 if 'visualizer' in given and 'default_hooks' in given else None)


def test_a_hook_and_a_visualizer_of_the_user_stay():
    config = Config(
        dict(
            default_hooks=dict(visualization=dict(type='MyHook'), logger=dict(type='LoggerHook')),
            visualizer=dict(type='MyVisualizer', name='mine', vis_backends=[dict(type='MyBackend')]),
        )
    )
    paint_predictions(config, None)
    assert config.default_hooks == dict(
        visualization=dict(type='MyHook', draw=True, show=True, wait_time=0.0), logger=dict(type='LoggerHook')
    )
    assert config.visualizer == dict(type='MyVisualizer', name='mine', vis_backends=[dict(type='MyBackend')])
    paint_predictions(config, 'painted')
    assert [backend.type for backend in config.visualizer.vis_backends] == ['MyBackend', 'LocalVisBackend']
