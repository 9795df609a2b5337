"""Distil a student of your own with one command: config, checks, training, export, and a table of what it brought."""

import argparse

from mmseg_kd.io.command_line import add_training_arguments
from mmseg_kd_startup import run_tool

HF = 'EoMT, Mask2Former, SegFormer, ...'


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('student', help='config of the student: a training of MMSegmentation, as a path or mmseg::...')
    parser.add_argument(
        '--teacher',
        required=True,
        help=f'config of the teacher (.py or mmseg::...), or a network of Hugging Face ({HF}): a folder or its name',
    )
    parser.add_argument('--checkpoint', help='weights of a teacher with a config; by default those that are published')
    parser.add_argument(
        '--method', default='auto', help='method in configs/_base_/terms, such as cwd, or the path of a file of terms'
    )
    parser.add_argument(
        '--classes', metavar='FILE', help="YAML or JSON file with the teacher's classes for each class of the student"
    )
    parser.add_argument(
        '--unlabeled', metavar='FOLDER', help='images without labels to train on as well: the teacher labels them'
    )
    parser.add_argument(
        '--views',
        type=int,
        metavar='K',
        help='the teacher runs once for K augmentations of each image; 5 are often enough',
    )
    parser.add_argument('--before', metavar='CHECKPOINT', help='student without distillation, for the table at the end')
    parser.add_argument(
        '--dry-run', action='store_true', help='write the config and check everything, but do not train'
    )
    return parser


def main():
    parser = arguments()
    add_training_arguments(parser, config=False)
    args = parser.parse_args()
    if args.views is not None and args.views < 1:
        parser.error(f'--views must be >= 1, but is {args.views}')

    from mmseg_kd.recipes.distill import distill

    distill(args)


if __name__ == '__main__':
    run_tool(main, 'the same command with --resume goes on from the last checkpoint')
