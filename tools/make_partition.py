"""Choose the labeled images of a training set, and write list files of them and of the rest."""

import argparse
import sys
import warnings
from pathlib import Path

from mmseg_kd.io.command_line import add_options
from mmseg_kd.io.configs import config_file
from mmseg_kd.io.trust import add_trust_files
from mmseg_kd_startup import run_tool


def main():
    warnings.filterwarnings('ignore')  # of libraries: this tool prints what matters
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config with a train_dataloader, as a path or mmseg_kd::_base_/datasets/...')
    parser.add_argument('--fraction', type=float, required=True, help='fraction of labeled images, such as 0.125')
    parser.add_argument('--seed', type=int, default=0, help='seed of the sample')
    parser.add_argument('--balance', action='store_true', help='choose images that also hold the rare classes')
    parser.add_argument(
        '--out', type=Path, required=True, metavar='FOLDER', help='folder for labeled.txt and unlabeled.txt'
    )
    add_options(parser)
    add_trust_files(parser)
    parser.add_argument('--debug', action='store_true', help='show the traceback of every error')
    args = parser.parse_args()
    config_file(args.config)  # refuses a missing file
    # These take seconds, which neither --help nor a wrong command line has to wait for.
    from mmengine.registry import init_default_scope

    from mmseg_kd.datasets.class_shares import balanced_part, count_classes, share_table, write_partition
    from mmseg_kd.datasets.image_list import ImageList
    from mmseg_kd.datasets.partitions import labeled_part
    from mmseg_kd.io.configs import merge_options, read_config
    from mmseg_kd.io.progress import ProgressLine
    from mmseg_kd.io.tables import markdown_table

    config = read_config(args.config)
    merge_options(config, args.cfg_options)
    init_default_scope('mmseg')
    dataset = config.train_dataloader.dataset
    # A data set that is already divided is divided again as a whole.
    images = ImageList.within(dataset.get('labeled', dataset), 'train_dataloader.dataset')
    labeled = labeled_part(images, dict(fraction=args.fraction, seed=args.seed))
    line = ProgressLine('label maps', len(images), sys.stderr)
    counts = count_classes(images, line.update)
    line.close(f'{len(images)} read')
    if args.balance:
        labeled = balanced_part(counts, args.fraction, args.seed)
    print(markdown_table(share_table(counts, labeled, images.metainfo['classes'])))
    written = write_partition(args.out, images, labeled)
    print(f'\nwritten: {written[0]} ({len(labeled)} images), {written[1]} ({len(images) - len(labeled)} images)')
    print(f'in a config of a SemiSupervisedDataset: partition={str(written[0])!r}')


if __name__ == '__main__':
    run_tool(main)
