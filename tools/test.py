"""Test a segmentor, or the student of a distiller."""

import argparse

from mmseg_kd.io.command_line import add_arguments, check_files
from mmseg_kd_startup import run_tool


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(parser)
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--out', help='folder for the predicted label maps')
    painted = parser.add_mutually_exclusive_group()
    painted.add_argument('--show', action='store_true', help='show predictions in a window')
    painted.add_argument('--show-dir', help='folder for images with painted predictions')
    parser.add_argument('--wait-time', type=float, default=2, help='seconds that --show waits for each image')
    parser.add_argument('--tta', action='store_true', help='test-time augmentation')
    args = parser.parse_args()
    check_files(args)
    # These take seconds, which neither --help nor a wrong command line has to wait for.
    from mmengine.runner import Runner

    from mmseg_kd.engine.launch import check_types, finish, load_config, prepare_launch
    from mmseg_kd.engine.tool_options import augment_data, augment_model, paint_predictions, write_predictions
    from mmseg_kd.io.checkpoint import check_checkpoint

    cfg = load_config(args)
    check_types(cfg)
    check_checkpoint(args.checkpoint)  # refuses missing and unsafe files
    cfg.load_from = args.checkpoint
    if args.show or args.show_dir:
        paint_predictions(cfg, args.show_dir, args.wait_time)
    if args.tta:
        augment_model(cfg)
    if args.out:
        write_predictions(cfg, args.out)
    prepare_launch(cfg)
    runner = Runner.from_cfg(cfg)
    if args.tta:
        augment_data(runner)
    runner.test()
    finish()


if __name__ == '__main__':
    run_tool(main)
