"""From a command line to the config of a Runner, on machines with and without a GPU."""

import argparse
import copy
import functools
import logging
import os
import warnings
from typing import Any

import torch
import torch.distributed as dist
from mmengine.config import Config
from mmengine.dist import get_rank, init_dist, is_distributed
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner, find_latest_checkpoint
from mmengine.runner.base_loop import BaseLoop
from torch.utils.data import DataLoader

from ..io.command_line import setup_file
from ..io.configs import config_file, merge_options, replaced_entries
from ..io.errors import ConfigError
from ..io.runs import saved_checkpoints
from ..io.stop_signals import leave
from .checks import (
    Problems,
    check_class_maps,
    check_compiled_pools,
    check_config,
    check_data_classes,
    check_loader,
    check_precision,
    training_loop,
    training_size,
    type_mistakes,
)
from .partition_runs import follow_partition
from .setup_terms import read_setup, run_name

# MMSegmentation's defaults cause these warnings in every run.
OF_NO_USE = ('Default ``avg_non_ignore`` is False', 'The draw is False')
SYNC_BN = ('SyncBN', 'MMSyncBN', 'torch.nn.modules.batchnorm.SyncBatchNorm')
RANKS = dict(
    pytorch=('RANK', 'LOCAL_RANK'),
    slurm=('SLURM_PROCID', 'SLURM_LOCALID'),
    mpi=('OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_LOCAL_RANK'),
)


def load_config(args: argparse.Namespace) -> Config:
    """The config of a command line, merged with its options.

    Args:
        args: Parsed arguments of :func:`~mmseg_kd.io.command_line.add_arguments`.

    Raises:
        FileNotFoundError: If the config does not exist.
        SetupError: If the config cannot use the terms.
    """
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    format_once()
    for message in OF_NO_USE:
        warnings.filterwarnings('ignore', message=message)
    config = read_setup(args.config, args.terms)
    for line in replaced_entries(config_file(setup_file(args.config))):
        print_log(line, 'current', logging.WARNING)
    file = copy.deepcopy(config)
    config.launcher = args.launcher
    merge_options(config, args.cfg_options)
    name = follow_partition(config, file, run_name(args.config, args.terms))
    config.work_dir = args.work_dir or config.get('work_dir') or os.path.join('work_dirs', name)
    return config


def format_once() -> None:
    """Make MMEngine format equal configs once. A run formats its config five times, which takes half a second each."""
    from mmengine.config import config as module  # the continuation imports yapf late, OpenMMLab's own package early
    from yapf.yapflib import yapf_api

    formatter, formatted = yapf_api.FormatCode, {}
    if hasattr(formatter, '__wrapped__'):
        return

    @functools.wraps(formatter)
    def format_code(text: str, **settings: Any) -> Any:
        if text not in formatted:
            formatted[text] = formatter(text, **settings)
        return formatted[text]

    for place in (yapf_api, module):
        if hasattr(place, 'FormatCode'):
            place.FormatCode = format_code


def prepare_launch(config: Config) -> None:
    """Adapt a config in place to the machine that it will run on. With a GPU, nothing changes.

    Without a GPU, BN replaces SyncBN, and processes of the ``pytorch`` launcher communicate through gloo, because
    MMEngine would select a CUDA device for each.

    Args:
        config: Config with ``launcher`` set.
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


def set_resume(config: Config, args: argparse.Namespace) -> None:
    """Set the checkpoint to resume from, if the command line or the config asks for it.

    ``--resume`` resumes from the latest checkpoint in the work directory, even if the config sets ``load_from``. If
    there is no checkpoint, training starts, from the weights of ``load_from`` if it is set. With ``resume=True`` in the
    config, or ``load_from`` on the command line, MMEngine's rule applies: ``load_from`` is the checkpoint to resume.
    A job that SLURM has requeued resumes without the flag, from its latest checkpoint if there is one.

    Args:
        config: Config with ``work_dir`` set; changed in place.
        args: Parsed arguments with ``resume`` and ``cfg_options``.
    """
    restarts = os.environ.get('SLURM_RESTART_COUNT', '0')
    requeued = restarts.isdigit() and int(restarts) > 0
    if requeued and not args.resume and not config.get('resume') and rank_of(config.get('launcher'))[0] == 0:
        print_log(f'SLURM has started this job again (restart {restarts}): it resumes, as with --resume', 'current')
    # Then load_from names the checkpoint to resume, and not only the first weights.
    named = 'load_from' in args.cfg_options or (bool(config.get('resume')) and not args.resume)
    config.resume = bool(config.get('resume')) or args.resume or requeued
    if (args.resume or requeued) and config.get('load_from'):
        saved = saved_checkpoints(config.work_dir) or find_latest_checkpoint(config.work_dir) is not None
        if saved and (requeued or not named):
            config.load_from = None
        elif not named:
            loop = training_loop(config)
            # An MCKD run keeps no checkpoint in its own folder.
            config.resume = loop is None or loop.key != 'train_cfg'


def check_types(config: Config) -> None:
    """Refuse settings that are wrong by themselves: misspelled names, and values of another kind.

    Args:
        config: Config of a training or a test.

    Raises:
        ConfigError: If settings must be changed; the message has one line for each.
    """
    _tell(Problems(refusals=list(dict.fromkeys(type_mistakes(config)))), 0)


def check_settings(config: Config) -> None:
    """Warn about suspicious settings, and refuse settings that must fail, before anything is built.

    Args:
        config: Config of a training, with ``launcher`` set.

    Raises:
        ConfigError: If settings must be changed; the message has one line for each.
    """
    rank = rank_of(config.launcher)[0]
    _tell(check_config(config), rank)
    _tell(check_precision(config), rank)


def check_runner(runner: Runner) -> None:
    """Check the batches that a training will get, after the Runner is built.

    Args:
        runner: Runner whose training has not started.

    Raises:
        ConfigError: If settings must be changed; the message has one line for each.
    """
    loader = runner.train_loop.dataloader if isinstance(runner.train_loop, BaseLoop) else None
    if isinstance(loader, DataLoader):
        classes = (getattr(loader.dataset, 'metainfo', None) or {}).get('classes') or ()
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        _tell(check_class_maps(getattr(model, 'teachers', {}), classes), get_rank())
        _tell(check_data_classes(loader, runner.model), get_rank())
        if runner.cfg.get('compile'):
            _tell(check_compiled_pools(model), get_rank())
        _tell(check_loader(loader, runner.model, training_size(runner.cfg), training_loop(runner.cfg)), get_rank())


def rank_of(launcher: str | None) -> tuple[int, int]:
    """Rank and local rank that a launcher gave this process, before it joins the process group.

    Args:
        launcher: Name of the launcher, as on the command line.
    """
    rank, local_rank = (int(os.environ.get(name, 0)) for name in RANKS.get(launcher or 'none', ('', '')))
    return (get_rank() if is_distributed() else rank), local_rank


def start_processes(config: Config) -> None:
    """Join the process group of a launcher in programs without a Runner.

    Args:
        config: Config with ``launcher`` set, after :func:`prepare_launch`.
    """
    if config.launcher != 'none' and not is_distributed():
        init_dist(config.launcher, **(config.get('env_cfg') or {}).get('dist_cfg', {}))


def enable_amp(config: Config) -> None:
    """Enable automatic mixed precision: with dynamic loss scaling on a GPU, in bfloat16 on a CPU.

    Args:
        config: Config of a training; changed in place.

    Raises:
        ValueError: If ``optim_wrapper.type`` is not ``OptimWrapper``.
    """
    wanted = 'AmpOptimWrapper' if torch.cuda.is_available() else 'BFloat16OptimWrapper'
    kind = config.optim_wrapper.get('type', 'OptimWrapper')
    if kind not in ('OptimWrapper', wanted):
        raise ValueError(f'--amp needs optim_wrapper.type to be OptimWrapper, but it is {kind}; leave --amp out')
    config.optim_wrapper.type = wanted
    if wanted == 'AmpOptimWrapper':
        config.optim_wrapper.setdefault('loss_scale', 'dynamic')


def finish() -> None:
    """End a finished process at once if it uses gloo, see :func:`~mmseg_kd.io.stop_signals.leave`; return otherwise."""
    if dist.is_initialized() and dist.get_backend() == 'gloo':
        dist.barrier()
        leave(0)


def _tell(problems: Problems, rank: int) -> None:
    for text in problems.warnings if rank == 0 else ():
        print_log(text, 'current', logging.WARNING)
    if problems.refusals:
        raise ConfigError('\n'.join(problems.refusals))


def _replace_sync_bn(node: Any) -> int:
    if isinstance(node, dict):
        here = node.get('type') in SYNC_BN
        if here:
            node['type'] = 'BN'
        return here + sum(map(_replace_sync_bn, node.values()))
    return sum(map(_replace_sync_bn, node)) if isinstance(node, (list, tuple)) else 0
