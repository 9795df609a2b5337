"""Compare training runs by their logs: mIoU over seeds, gain over the baseline, IoU by class, and cost."""

import argparse
import warnings
from pathlib import Path

from mmseg_kd.io.trust import add_trust_files
from mmseg_kd_startup import run_tool


def main():
    warnings.filterwarnings('ignore')  # of libraries: this tool prints what matters
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'runs', nargs='+', metavar='RUN_DIR', help='work directory of a run, or a folder of work directories'
    )
    parser.add_argument(
        '--out',
        type=Path,
        metavar='FOLDER',
        help='folder for the tables (text, Markdown, CSV, LaTeX) and the page comparison.html',
    )
    parser.add_argument(
        '--predictions',
        type=int,
        default=0,
        metavar='N',
        help='number of validation images that the page shows with all predictions; needs checkpoints and data',
    )
    parser.add_argument('--anyway', action='store_true', help='compare runs that are not comparable')
    parser.add_argument(
        '--confidence', type=float, default=0.95, help='confidence of the intervals over seeds and over images'
    )
    add_trust_files(parser)
    parser.add_argument('--debug', action='store_true', help='show the traceback of every error')
    args = parser.parse_args()
    if args.predictions and args.out is None:
        parser.error('--predictions needs --out, because the page shows them')
    # These take seconds, which neither --help nor a wrong command line has to wait for.
    from mmseg_kd.comparison.comparison import compare
    from mmseg_kd.comparison.predictions import predict
    from mmseg_kd.comparison.report import page, text_report, write_tables
    from mmseg_kd.io.files import write_atomically
    from mmseg_kd.io.runs import find_runs, read_run

    comparison = compare([read_run(folder) for folder in find_runs(args.runs)], args.anyway, args.confidence)
    print(text_report(comparison), end='')
    if args.out is not None:
        for path in write_tables(comparison, args.out):
            print(f'written: {path}')
        predictions = predict(comparison, args.predictions) if args.predictions else None
        path = args.out / 'comparison.html'
        write_atomically(path, page(comparison, predictions))
        print(f'written: {path}')


if __name__ == '__main__':
    run_tool(main)
