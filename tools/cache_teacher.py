"""Store what the terms of a distillation read in its teacher, for some views of each training image.

The teacher then answers once: training with model.teacher.cache costs what training the student alone costs.
"""

import argparse
import os
import warnings
from pathlib import Path

from mmseg_kd.io.command_line import CONFIG_HELP, TERMS_HELP, add_options, check_files
from mmseg_kd.io.trust import add_trust_files
from mmseg_kd_startup import run_tool

ADVICE = 'the same command makes the other shards'


def main():
    warnings.filterwarnings('ignore')  # of libraries: this tool prints what matters
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help=CONFIG_HELP)
    parser.add_argument('--terms', help=TERMS_HELP)
    parser.add_argument('--views', type=int, required=True, help='number of views (augmentations) of each image')
    parser.add_argument(
        '--out', help='folder for the cache; work_dirs/cache/<config> if left out. An interrupted command continues'
    )
    parser.add_argument(
        '--logits',
        default='float16',
        metavar='CODE',
        help='float16: all classes; top4 (or any number): the largest logits and one value for all other classes',
    )
    parser.add_argument(
        '--features', default='float16', metavar='CODE', help='float16; int8: 8 bits with a scale for each channel'
    )
    parser.add_argument('--shard-size', type=float, default=64, metavar='MB', help='size of a file in megabytes')
    parser.add_argument('--seed', type=int, default=0, help='seed of the augmentations')
    add_options(parser)
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none', help='job launcher')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help='set by torch.distributed.launch')
    add_trust_files(parser)
    parser.set_defaults(work_dir=None)
    parser.add_argument('--debug', action='store_true', help='show the traceback of every error')
    args = parser.parse_args()
    if args.views < 1:
        parser.error(f'--views must be >= 1, but is {args.views}')
    check_files(args)
    # These take seconds, which neither --help nor a wrong command line has to wait for.
    from mmengine.dist import is_main_process

    from mmseg_kd.engine.launch import finish, load_config, prepare_launch, start_processes
    from mmseg_kd.engine.teacher_cache import Request, show_cache
    from mmseg_kd.io.stop_signals import stop_signals

    config = load_config(args)
    prepare_launch(config)
    start_processes(config)
    out = args.out or os.path.join('work_dirs', 'cache', Path(config.work_dir).name)
    task, first, step, count = (
        int(os.environ.get(f'SLURM_ARRAY_TASK_{name}', default))
        for name, default in (('ID', 0), ('MIN', 0), ('STEP', 1), ('COUNT', 1))
    )
    request = Request(
        out,
        args.views,
        args.logits,
        args.features,
        int(args.shard_size * 1e6),
        args.seed,
        (task - first) // step,
        count,
    )
    with stop_signals(ADVICE):
        missing = show_cache(config, request)
    if is_main_process() and not missing:
        print(f"train with: model.teacher=dict(cache='{out}')")
    finish()


if __name__ == '__main__':
    run_tool(main, ADVICE)
