"""Measure the cost of student and teacher, and the number of images that pays back the training."""

import argparse
import os
import platform
import sys
from pathlib import Path

from mmseg_kd.io.command_line import add_options
from mmseg_kd.io.configs import config_file
from mmseg_kd.io.trust import add_trust_files
from mmseg_kd_startup import run_tool


def size(text):
    height, _, width = text.partition('x')
    return int(height), int(width)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config of a distiller, or of a segmentor')
    parser.add_argument('--checkpoint', help='checkpoint of the student or segmentor; random weights cost the same')
    parser.add_argument(
        '--shape', type=size, nargs='+', metavar='HxW', help='image sizes; the training crop by default'
    )
    parser.add_argument('--batches', type=int, nargs='+', default=[1, 8], help='batch sizes; energy uses the first')
    parser.add_argument('--seconds', type=float, default=10, help='minimal seconds of each measurement')
    parser.add_argument('--country', help='country code such as FRA, to measure energy and CO2')
    parser.add_argument('--train-log', metavar='RUN_DIR', help="work directory of the student's training")
    parser.add_argument('--out', type=Path, help='folder for the tables; work_dirs/<config>/analysis if left out')
    add_options(parser)
    add_trust_files(parser)
    parser.add_argument('--debug', action='store_true', help='show the traceback of every error')
    args = parser.parse_args()
    if args.train_log and not args.country:
        parser.error('--train-log needs --country: the energy of training is compared with the energy per image')
    config_file(args.config)  # refuses a missing file
    # These take seconds, which neither --help nor a wrong command line has to wait for.
    import torch
    from mmengine.registry import init_default_scope

    from mmseg_kd.io.configs import merge_options, read_config
    from mmseg_kd.io.files import write_atomically
    from mmseg_kd.profiling.cost_report import cost_csv, cost_report
    from mmseg_kd.profiling.energy import ENERGY_FILE, training_energy, training_seconds
    from mmseg_kd.profiling.network_cost import load_networks, measure_networks

    config = read_config(args.config)
    merge_options(config, args.cfg_options)
    init_default_scope(config.get('default_scope', 'mmseg'))
    if args.train_log and not Path(args.train_log, ENERGY_FILE).is_file():
        training_seconds(args.train_log)  # raises errors before minutes of measuring
    # The profiler would log every start and stop to stderr.
    os.environ.setdefault('KINETO_LOG_LEVEL', '6')
    networks = load_networks(config, args.checkpoint)
    cuda = torch.cuda.is_available()
    threads = f'{torch.get_num_threads()} thread{"s" * (torch.get_num_threads() > 1)}'
    device = f'GPU {torch.cuda.get_device_name()}' if cuda else f'CPU {platform.machine()}, {threads}'
    sizes = args.shape or [networks[0].training_size]
    results = measure_networks(
        networks,
        args.batches,
        sizes,
        torch.device('cuda' if cuda else 'cpu'),
        args.seconds,
        args.country,
        lambda text: print(f'measuring {text}', file=sys.stderr),
    )
    training = training_energy(args.train_log, [result.energy for result in results]) if args.train_log else None
    title = Path(args.config).stem
    report = cost_report(title, results, f'{device}, torch {torch.__version__}', training)
    print(f'\n{report}')
    out = args.out or Path('work_dirs', title, 'analysis')
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(out / 'cost.md', report)
    write_atomically(out / 'cost.csv', cost_csv(results, training))
    print(f'written to {out}: cost.md, cost.csv')


if __name__ == '__main__':
    run_tool(main)
