"""Train a segmentor, distilled or not."""
import argparse
import os

import mmseg_kd  # noqa: F401, before the config is parsed: it makes mmseg_kd:: and mmseg:: known
from mmengine.config import Config, DictAction
from mmengine.runner import Runner
from mmseg.registry import RUNNERS

from mmseg_kd.engine.launch import default_work_dir, enable_amp, prepare_launch


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file, as a path or mmseg_kd::kd/...')
    parser.add_argument('--work-dir', help='folder for logs and checkpoints; work_dirs/<config> if left out')
    parser.add_argument('--resume', action='store_true', help='resume from the latest checkpoint in the work directory')
    parser.add_argument('--amp', action='store_true', help='automatic mixed precision')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        help='override settings of the config, such as optim_wrapper.optimizer.lr=0.02 or key="[(a,b),(c,d)]"')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none', help='job launcher')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)
    args = parser.parse_args()
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def main():
    args = parse_args()
    cfg = Config.fromfile(mmseg_kd.config_file(args.config))
    cfg.launcher = args.launcher
    if args.cfg_options is not None:
        cfg.merge_from_dict(args.cfg_options)
    cfg.work_dir = args.work_dir or cfg.get('work_dir') or default_work_dir(args.config)
    cfg.resume = args.resume
    if args.amp:
        enable_amp(cfg)
    prepare_launch(cfg)
    runner = RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
    runner.train()


if __name__ == '__main__':
    main()
