"""Measure the cost of the compact network, PSPNet-R18 and the teacher FCN-R50, with random weights.

OMP_NUM_THREADS=1 python benchmarks/compact.py --size 224x224 --batches 1 16
"""

import argparse
import sys

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmseg_kd import config_file
from mmseg_kd.profiling.cost_report import cost_report
from mmseg_kd.profiling.network_cost import load_networks, measure_networks

NETWORKS = {
    'compact': 'mmseg_kd::compact/none_voc12.py',
    'PSPNet-R18': 'mmseg_kd::kd/r18_voc12aug.py',
    'FCN-R50': 'mmseg_kd::compact/fcn_r50_voc12.py',
}


def size(text):
    height, _, width = text.partition('x')
    return int(height), int(width)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--size', type=size, default=(224, 224), metavar='HxW', help='image size')
    parser.add_argument('--batches', type=int, nargs='+', default=[1, 16], help='batch sizes')
    parser.add_argument('--seconds', type=float, default=10, help='minimal seconds of each measurement')
    args = parser.parse_args()
    init_default_scope('mmseg')
    networks = []
    for name, leaf in NETWORKS.items():
        (network,) = load_networks(Config.fromfile(config_file(leaf)))
        network.name = name
        networks.append(network)
    cuda = torch.cuda.is_available()
    device = f'GPU {torch.cuda.get_device_name()}' if cuda else f'CPU, {torch.get_num_threads()} thread(s)'
    results = measure_networks(
        networks,
        args.batches,
        [args.size],
        torch.device('cuda' if cuda else 'cpu'),
        args.seconds,
        report=lambda text: print(f'measuring {text}', file=sys.stderr),
    )
    print(cost_report('compact', results, f'{device}, torch {torch.__version__}'))


if __name__ == '__main__':
    main()
