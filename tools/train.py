"""Train a segmentor, with or without distillation."""

import argparse

from mmseg_kd.io.command_line import add_training_arguments, check_files
from mmseg_kd_startup import run_tool


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    add_training_arguments(parser)
    parser.add_argument('--check', action='store_true', help='run tools/doctor.py first; stop if training would fail')
    args = parser.parse_args()
    check_files(args)
    # These take seconds, which neither --help nor a wrong command line has to wait for.
    from mmseg_kd.engine.launch import finish
    from mmseg_kd.recipes.training import train, training_config

    train(training_config(args), args.check)
    finish()


if __name__ == '__main__':
    run_tool(main, 'the same command with --resume continues from the last checkpoint')
