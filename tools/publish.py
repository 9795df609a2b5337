"""Write the weights of a checkpoint alone, in half precision: a file to share, about a sixth as large."""

import argparse

from mmseg_kd.io.trust import add_trust_files
from mmseg_kd_startup import run_tool


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('checkpoint', help='checkpoint of a segmentor, or of a distiller, whose student is written')
    parser.add_argument('out', help='file to write')
    add_trust_files(parser)
    parser.add_argument('--debug', action='store_true', help='show the traceback of every error')
    args = parser.parse_args()
    # These take seconds, which neither --help nor a wrong command line has to wait for.
    from mmseg_kd.engine.publish import publish

    print(f'written: {args.out}, {publish(args.checkpoint, args.out) / 1e6:.1f} MB')


if __name__ == '__main__':
    run_tool(main)
