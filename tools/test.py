"""Test a segmentor; of a distilled one, the student."""
import argparse
import os

import mmseg_kd  # noqa: F401, before the config is parsed: it makes mmseg_kd:: and mmseg:: known
from mmengine.config import Config, DictAction
from mmengine.runner import Runner

from mmseg_kd.distillers.checkpoint import read_checkpoint
from mmseg_kd.engine.launch import default_work_dir, prepare_launch


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file, as a path or mmseg_kd::kd/...')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--work-dir', help='folder for logs and results; work_dirs/<config> if left out')
    parser.add_argument('--out', help='folder for the predicted label maps')
    parser.add_argument('--show', action='store_true', help='show predictions in a window')
    parser.add_argument('--show-dir', help='folder for painted images')
    parser.add_argument('--wait-time', type=float, default=2, help='seconds that --show waits for each image')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        help='override settings of the config, such as model.student.test_cfg.mode=slide or key="[(a,b),(c,d)]"')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none', help='job launcher')
    parser.add_argument('--tta', action='store_true', help='test-time augmentation')
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
    read_checkpoint(args.checkpoint)  # refuses what is missing or would run code
    cfg.load_from = args.checkpoint
    if args.show or args.show_dir:
        cfg.default_hooks.visualization.update(draw=True, show=args.show, wait_time=args.wait_time)
        if args.show_dir:
            cfg.visualizer.save_dir = args.show_dir
    if args.tta:
        cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline
        cfg.model = dict(cfg.tta_model, module=cfg.model)
    if args.out:
        cfg.test_evaluator.update(output_dir=args.out, keep_results=True)
    prepare_launch(cfg)
    Runner.from_cfg(cfg).test()


if __name__ == '__main__':
    main()
