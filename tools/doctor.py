"""Check a config before hours of training; the exit status is 1 if a problem would ruin the run."""

import argparse
import warnings

from mmseg_kd.io.command_line import CONFIG_HELP, TERMS_HELP, add_options, check_files
from mmseg_kd.io.trust import add_trust_files
from mmseg_kd_startup import run_tool


def main():
    warnings.filterwarnings('ignore')  # of libraries: this tool prints what matters
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help=CONFIG_HELP)
    parser.add_argument('--terms', help=TERMS_HELP)
    add_options(parser)
    parser.add_argument('--images', type=int, default=50, help="number of validation images for the teacher's mIoU")
    parser.add_argument('--samples', type=int, default=32, help='number of label maps to read from each data set')
    parser.add_argument(
        '--seconds', type=float, default=60, help="time limit of the teacher's mIoU and of the timed steps, each"
    )
    parser.add_argument('--distributed', action='store_true', help='the training will have several processes')
    add_trust_files(parser)
    parser.set_defaults(work_dir=None, launcher='none', local_rank=0)
    parser.add_argument('--debug', action='store_true', help='show the traceback of every error')
    args = parser.parse_args()
    check_files(args)
    # These take seconds, which neither --help nor a wrong command line has to wait for.
    from mmseg_kd.doctor.doctor import examine
    from mmseg_kd.engine.launch import load_config, prepare_launch

    cfg = load_config(args)
    prepare_launch(cfg)
    raise SystemExit(not examine(cfg, args.images, args.samples, args.seconds, args.distributed))


if __name__ == '__main__':
    run_tool(main)
