"""Export the student of a distillation run for plain MMSegmentation."""

import copy
import inspect
import io
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS, HOOKS, LOOPS, METRICS, MODELS, TRANSFORMS, VISUALIZERS

from ..distillers.dry_run import build_skeleton
from ..io.checkpoint import CheckpointError, all_weights, read_checkpoint, student_weights
from ..io.configs import OWN, imports_with, named_types, segmentor_config
from ..io.data_sets import innermost_config
from ..io.files import write_atomically

KEPT = (
    'default_scope',
    'env_cfg',
    'vis_backends',
    'visualizer',
    'log_level',
    'log_processor',
    'test_dataloader',
    'test_evaluator',
    'test_cfg',
    'val_dataloader',
    'val_evaluator',
    'val_cfg',
    'tta_model',
    'tta_pipeline',
    'custom_imports',
)
REGISTRIES = (MODELS, DATASETS, TRANSFORMS, METRICS, LOOPS, HOOKS, VISUALIZERS)


def export_student(config: Config, checkpoint: str | Path, folder: str | Path) -> Path:
    """Write ``config.py`` and ``student.pth``, which MMSegmentation's own tools can test, deploy and fine-tune.

    Args:
        config: Config of the distillation run.
        checkpoint: Checkpoint of the run.
        folder: Folder for both files, which get their names only when they are complete.

    Returns:
        Path: the folder.

    Raises:
        CheckpointError: If the checkpoint cannot be read, or holds only a part of the student.
        ValueError: If the checkpoint holds no student.
    """
    saved = read_checkpoint(str(checkpoint))
    weights = student_weights(saved)
    if not weights:
        raise ValueError(f'{checkpoint} must be a checkpoint of a Distiller, but holds no weights of a student')
    meta = {key: value for key, value in saved.get('meta', {}).items() if key in ('dataset_meta', 'epoch', 'iter')}
    exported = student_config(config)
    whole = all_weights(build_skeleton(exported.model))
    if len(weights) < len(whole):
        raise CheckpointError(
            f'{checkpoint} must hold all {len(whole)} weights of the student, but holds {len(weights)}, and '
            f'not {min(whole.keys() - weights.keys())}; it was written by a version that left them out, '
            'so distil again'
        )
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    content = io.BytesIO()
    torch.save(dict(meta=meta, state_dict=weights), content)
    write_atomically(folder / 'student.pth', content.getvalue())
    write_atomically(folder / 'config.py', exported.pretty_text)
    return folder


def student_config(config: Config) -> Config:
    """The config that tests the student with plain MMSegmentation.

    Args:
        config: Config of the distillation run.
    """
    config = Config(named_types(config.to_dict()))
    result = {key: copy.deepcopy(config[key]) for key in KEPT if config.get(key) is not None}
    result.setdefault('default_scope', 'mmseg')
    result['model'] = _without_timm_download(segmentor_config(config))
    if (result['model'].get('data_preprocessor') or {}).get('type') == 'BranchPreprocessor':
        result['model'].data_preprocessor.type = 'SegDataPreProcessor'
    tested = (config.get('test_dataloader') or {}).get('dataset') or {}
    pipeline = config.get('test_pipeline') or innermost_config(tested).get('pipeline')
    if pipeline:
        result['test_pipeline'] = copy.deepcopy(pipeline)  # the name that MMSegmentation's inference expects
    # The stock tool's --show-dir needs this hook; all other hooks come from MMEngine.
    painter = (config.get('default_hooks') or {}).get('visualization') or dict(type='SegVisualizationHook')
    result['default_hooks'] = dict(visualization=copy.deepcopy(painter))
    result.setdefault(
        'visualizer', dict(type='SegLocalVisualizer', vis_backends=[dict(type='LocalVisBackend')], name='visualizer')
    )
    result = _own_datasets_as_plain(result)
    imports = imports_with(result.pop('custom_imports', None), OWN)
    if not _uses_own_modules(result):
        imports['imports'].remove(OWN)
    if imports['imports']:
        result['custom_imports'] = imports
    return Config(result)


def _without_timm_download(node: Any) -> Any:
    """timm downloads pretrained weights when a network is built; those of the student are in its checkpoint."""
    if isinstance(node, dict):
        if str(node.get('type')).rpartition('.')[2] == 'TIMMBackbone':
            node['pretrained'] = False
        for value in node.values():
            _without_timm_download(value)
    return node


def _own_datasets_as_plain(node: Any) -> Any:
    """Replace data sets of this package by MMSegmentation's ``BaseSegDataset`` if they differ only in defaults."""
    if isinstance(node, (list, tuple)):
        return type(node)(map(_own_datasets_as_plain, node))
    if not isinstance(node, dict):
        return node
    node = {key: _own_datasets_as_plain(value) for key, value in node.items()}
    if node.get('_scope_') == 'mmseg_kd':
        del node['_scope_']
    known = DATASETS.get(node['type']) if isinstance(node.get('type'), str) else None
    if known is not None and known.__module__.startswith('mmseg_kd.') and _is_plain(known, node.get('metainfo') or {}):
        accepted = inspect.signature(BaseSegDataset.__init__).parameters
        defaults = {
            name: parameter.default
            for name, parameter in inspect.signature(known.__init__).parameters.items()
            if name in accepted and parameter.default is not parameter.empty
        }
        metainfo = {**known.METAINFO, **(node.get('metainfo') or {})}
        node = {**defaults, **node, 'metainfo': metainfo, 'type': 'BaseSegDataset'}
    return node


def _is_plain(kind: Any, metainfo: dict) -> bool:
    """Whether a data set adds only names and defaults to BaseSegDataset, and uses all of its classes."""
    if not issubclass(kind, BaseSegDataset):
        return False
    own = {
        name
        for each in kind.__mro__
        if each.__module__.startswith('mmseg_kd.')
        for name in vars(each)
        if not name.startswith('__')
    }
    # Other classes are renumbered by METAINFO, which BaseSegDataset does not have.
    known = list(kind.METAINFO['classes']) if own <= {'METAINFO'} else None
    return known is not None and list(metainfo.get('classes', known)) == known


def _uses_own_modules(node: Any) -> bool:
    if isinstance(node, (list, tuple)):
        return any(map(_uses_own_modules, node))
    if not isinstance(node, dict):
        return False
    kind = node.get('type')
    known = [registry.get(kind) for registry in REGISTRIES] if isinstance(kind, str) else [kind]
    return any(getattr(each, '__module__', '').startswith('mmseg_kd.') for each in known) or any(
        map(_uses_own_modules, node.values())
    )
