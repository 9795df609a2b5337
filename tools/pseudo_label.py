"""Label a folder of images with any segmentor: PNG class maps, and a report of the class frequencies."""

import argparse
import os
import sys
import warnings

from mmseg_kd.io.configs import config_file
from mmseg_kd.io.trust import add_trust_files
from mmseg_kd_startup import run_tool

ADVICE = 'the same command labels the other images'


def main():
    warnings.filterwarnings('ignore')  # of libraries: this tool prints what matters
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config of a segmentor or distiller (its student), as a path or mmseg::...')
    parser.add_argument(
        'checkpoint',
        help="checkpoint; 'auto' for the weights that the library publishes, 'none' if the config names its weights",
    )
    parser.add_argument('images', help='folder of the images and their subfolders')
    parser.add_argument('out', help='folder for the label maps and labels.json; an interrupted labeling continues')
    parser.add_argument(
        '--ids',
        nargs='+',
        default=[],
        metavar='FILE',
        help='list files of the images to label, one per line: the path relative to IMAGES, without suffix',
    )
    parser.add_argument('--threshold', type=float, default=0.0, help='probability below which a pixel is ignored (255)')
    parser.add_argument(
        '--top-k',
        type=int,
        default=0,
        metavar='K',
        help='also write the K most probable classes and their probabilities, as .npz',
    )
    parser.add_argument('--stride', type=int, default=4, help='distance in pixels between two soft labels')
    parser.add_argument('--tta', action='store_true', help='test-time augmentation')
    parser.add_argument(
        '--class-map',
        metavar='FILE',
        help='YAML or JSON file: classes of the network for each class of the labels, as in "road: [road, lane]"',
    )
    parser.add_argument('--skip-unreadable', action='store_true', help='leave out images that cannot be read')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none', help='job launcher')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help='set by torch.distributed.launch')
    add_trust_files(parser)
    parser.add_argument('--debug', action='store_true', help='show the traceback of every error')
    args = parser.parse_args()
    config_file(args.config)  # refuses a missing file
    # These take seconds, which neither --help nor a wrong command line has to wait for.
    from mmengine.dist import is_main_process

    from mmseg_kd.datasets.partitions import read_ids
    from mmseg_kd.engine.launch import finish, prepare_launch, start_processes
    from mmseg_kd.io.configs import read_config
    from mmseg_kd.io.progress import ProgressLine
    from mmseg_kd.io.stop_signals import stop_signals
    from mmseg_kd.labeling import Labeler, find_images, images_of_ids, shares_report, write_labels
    from mmseg_kd.models import read_class_map

    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    if not args.ids:
        images = find_images(args.images)
    else:
        ids = [name for file in args.ids for name in read_ids(file)]
        images = list(images_of_ids(args.images, ids, '--ids', ', '.join(args.ids)).values())
    config = read_config(args.config)
    config.launcher = args.launcher
    prepare_launch(config)
    start_processes(config)
    class_map = read_class_map(args.class_map) if args.class_map else None
    labeler = Labeler(config, None if args.checkpoint == 'none' else args.checkpoint, args.tta, class_map)
    line = ProgressLine('labeling', len(images), sys.stderr)
    with stop_signals(ADVICE):
        summary = write_labels(
            labeler,
            images,
            args.images,
            args.out,
            labeler.classes,
            labeler.palette,
            args.threshold,
            args.top_k,
            args.stride,
            dict(
                config=args.config,
                checkpoint=args.checkpoint,
                tta=args.tta,
                **(dict(class_map=class_map) if class_map else {}),
            ),
            args.skip_unreadable,
            line.update,
        )
    if is_main_process():
        line.close(f'{len(summary["images"])} images, in {args.out}')
        print(shares_report(summary))
    finish()


if __name__ == '__main__':
    run_tool(main, ADVICE)
