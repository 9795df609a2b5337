"""What MMEngine's Runner needs to start on machines without a GPU."""
import os
from typing import Any

import torch
import torch.distributed as dist
from mmengine.config import Config
from mmengine.logging import print_log


def prepare_launch(config: Config) -> None:
    """Adapt a config, in place, to the machine it is about to run on. With a GPU, nothing changes.

    On a CPU, SyncBN becomes BN, and processes that the ``pytorch`` launcher started talk through gloo: MMEngine would
    select a CUDA device for each.

    Args:
        config: with ``launcher`` set.
    """
    if torch.cuda.is_available():
        return
    replaced = _replace_sync_bn(config._cfg_dict)
    if replaced:
        print_log(f'no GPU here: SyncBN, which needs one, is replaced by BN ({replaced} times)', 'current')
    if config.get('launcher') == 'pytorch':
        if not dist.is_initialized():
            dist.init_process_group('gloo')
        wrapper = config.get('model_wrapper_cfg') or dict(type='MMDistributedDataParallel', broadcast_buffers=False)
        config.model_wrapper_cfg = dict(wrapper, device_ids=None)


def enable_amp(config: Config) -> None:
    """Turn on automatic mixed precision with dynamic loss scaling.

    Raises:
        ValueError: if there is no GPU, or the optimiser's wrapper is another than ``OptimWrapper``.
    """
    if not torch.cuda.is_available():
        raise ValueError("--amp needs a GPU, and there is none: MMEngine's AmpOptimWrapper does not run on a CPU; leave --amp out")
    kind = config.optim_wrapper.get('type', 'OptimWrapper')
    if kind not in ('OptimWrapper', 'AmpOptimWrapper'):
        raise ValueError(f'--amp needs optim_wrapper.type to be OptimWrapper, but it is {kind}; leave --amp out')
    config.optim_wrapper.type = 'AmpOptimWrapper'
    config.optim_wrapper.setdefault('loss_scale', 'dynamic')


def default_work_dir(config_path: str) -> str:
    """``work_dirs/<name of the config>``, as MMSegmentation's tools choose it."""
    return os.path.join('work_dirs', os.path.splitext(os.path.basename(config_path))[0])


def _replace_sync_bn(node: Any) -> int:
    if isinstance(node, dict):
        here = node.get('type') == 'SyncBN'
        if here:
            node['type'] = 'BN'
        return here + sum(map(_replace_sync_bn, node.values()))
    return sum(map(_replace_sync_bn, node)) if isinstance(node, (list, tuple)) else 0
