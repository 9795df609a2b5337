"""Divide a folder of images into training, validation and testing, and write the three list files."""

import argparse
import warnings
from pathlib import Path

from mmseg_kd_startup import run_tool


def main():
    warnings.filterwarnings('ignore')  # of libraries: this tool prints what matters
    parser = argparse.ArgumentParser(
        description=__doc__, epilog='70 % are for training, 20 % for validation, 10 % for testing.'
    )
    parser.add_argument('images', help='folder of the images and their subfolders')
    parser.add_argument('out', type=Path, help='folder for train.txt, val.txt and test.txt')
    parser.add_argument('--fraction', type=float, default=1.0, help='fraction of the images to use')
    parser.add_argument('--seed', type=int, default=0, help='seed of the sample')
    parser.add_argument('--suffix', default='.jpg', help='suffix of the images')
    parser.add_argument('--debug', action='store_true', help='show the traceback of every error')
    args = parser.parse_args()
    # These take seconds, which neither --help nor a wrong command line has to wait for.
    from mmseg_kd.datasets import write_split

    parts = write_split(args.images, args.out, args.fraction, args.seed, args.suffix)
    print('written: ' + ', '.join(f'{args.out / name}.txt ({len(part)} images)' for name, part in parts.items()))


if __name__ == '__main__':
    run_tool(main)
