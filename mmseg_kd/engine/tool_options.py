"""Changes that the test tool's options make in a config, including settings that the config lacks."""

import inspect

from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.runner import Runner
from mmseg.engine.hooks import SegVisualizationHook
from mmseg.registry import METRICS

from ..datasets.image_list import listed_images
from ..io.configs import outer_preprocessor

STOCK_HOOK = ('SegVisualizationHook', 'mmseg.SegVisualizationHook')


def write_predictions(config: Config, folder: str) -> None:
    """Make the first metric that supports it write the predicted label maps.

    Args:
        config: Config of a test; changed in place.
        folder: Folder for the label maps.

    Raises:
        ValueError: If no metric can write label maps.
    """
    evaluator = config.get('test_evaluator') or []
    metrics = evaluator['metrics'] if isinstance(evaluator, dict) and 'metrics' in evaluator else evaluator
    metrics = [metrics] if isinstance(metrics, dict) else metrics
    for metric in metrics:
        accepted = _arguments(metric)
        if 'output_dir' in accepted:
            metric['output_dir'] = folder
            if 'keep_results' in accepted:
                metric['keep_results'] = True
            return
    raise ValueError(
        "--out needs a metric that writes label maps; add dict(type='IoUMetric') to test_evaluator, which "
        f'has {", ".join(str(metric.get("type")) for metric in metrics) or "none"}'
    )


def paint_predictions(config: Config, folder: str | None, wait_time: float = 0.0) -> None:
    """Paint predictions over the images, and save the pictures or show them in a window.

    Args:
        config: Config of a test, changed in place: missing hook, visualizer and backend are added.
        folder: Folder for the pictures; None to show them in a window.
        wait_time: Seconds for which each picture is shown.
    """
    hooks = config.get('default_hooks') or {}
    hook = dict(hooks.get('visualization') or {}, draw=True, show=folder is None, wait_time=wait_time)
    if hook.get('type', SegVisualizationHook) in (*STOCK_HOOK, SegVisualizationHook):
        hook['type'] = 'LoadedImageHook'
    config.default_hooks = dict(hooks, visualization=hook)
    visualizer = dict(config.get('visualizer') or {})
    if visualizer.get('type', 'Visualizer') == 'Visualizer':  # MMEngine's paints no label maps
        visualizer['type'] = 'SegLocalVisualizer'
    visualizer.setdefault('name', 'visualizer')
    if folder is not None:
        backends = [dict(backend) for backend in visualizer.get('vis_backends') or []]
        kept = [backend for backend in backends if backend['type'] != 'LocalVisBackend']
        visualizer.update(save_dir=folder, vis_backends=[*kept, dict(type='LocalVisBackend')])
    config.visualizer = visualizer


def augment_model(config: Config) -> None:
    """Make the model average its predictions over augmented views.

    Args:
        config: Config of a test, changed in place; :func:`augment_data` changes the data set.

    Raises:
        ValueError: If the config has no ``tta_pipeline``.
    """
    if not config.get('tta_pipeline'):
        raise ValueError(
            '--tta needs a tta_pipeline in the config, whose TestTimeAug makes the views, such as that of '
            'mmseg::_base_/datasets/ade20k.py'
        )
    # MMEngine's Runner would pass a preprocessor at the top level to the wrapper, which does not use it.
    preprocessor = outer_preprocessor(config)
    own = {} if preprocessor is None else dict(data_preprocessor=preprocessor)
    wrapper = config.get('tta_model') or dict(type='SegTTAModel')
    if wrapper['type'] == 'SegTTAModel':
        wrapper = dict(wrapper, type='ShareTTAModel')
    config.model = dict(wrapper, module=dict(config.model, **own))


def augment_data(runner: Runner) -> None:
    """Make every test data set, also within wrappers, return augmented views.

    Args:
        runner: Runner built from a config after :func:`augment_model`.
    """
    for leaf in {id(leaf): leaf for leaf, _ in listed_images(runner.test_dataloader.dataset)}.values():
        leaf.pipeline = Compose(runner.cfg.tta_pipeline)


def _arguments(metric: dict) -> set[str]:
    kind = metric.get('type')
    kind = METRICS.get(kind) if isinstance(kind, str) else kind
    mro = getattr(kind, '__mro__', ())
    return {name for each in mro if '__init__' in vars(each) for name in inspect.signature(each.__init__).parameters}
