"""Compare training runs, from their own logs: mIoU over seeds, lift over the student alone, IoU by class, cost."""

import argparse
import contextlib
import io
import warnings
from pathlib import Path

# What OpenMMLab says while it is imported is of no use here.
warnings.filterwarnings('ignore')
with contextlib.redirect_stdout(io.StringIO()):
    from mmseg_kd.comparison.comparison import compare
    from mmseg_kd.comparison.predictions import predict
    from mmseg_kd.comparison.report import page, text_report, write_tables
    from mmseg_kd.io.runs import find_runs, read_run


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'runs', nargs='+', metavar='RUN_DIR', help='work directory, or a folder of such, as a sweep writes'
    )
    parser.add_argument(
        '--out',
        type=Path,
        metavar='FOLDER',
        help='also write the tables (text, Markdown, CSV, LaTeX) and the page comparison.html there',
    )
    parser.add_argument(
        '--predictions',
        type=int,
        default=0,
        metavar='N',
        help='show N validation images through every network on the page; needs checkpoints and data',
    )
    parser.add_argument('--anyway', action='store_true', help='compare even what is not comparable')
    parser.add_argument('--confidence', type=float, default=0.95, help='of the intervals of the paired differences')
    args = parser.parse_args()
    if args.predictions and args.out is None:
        parser.error('--predictions go onto the page, so they need --out')
    try:
        comparison = compare([read_run(folder) for folder in find_runs(args.runs)], args.anyway, args.confidence)
        print(text_report(comparison), end='')
        if args.out is not None:
            for path in write_tables(comparison, args.out):
                print(f'written: {path}')
            predictions = predict(comparison, args.predictions) if args.predictions else None
            path = args.out / 'comparison.html'
            path.write_text(page(comparison, predictions), encoding='utf-8')
            print(f'written: {path}')
    except (ImportError, ValueError) as error:
        raise SystemExit(str(error))


if __name__ == '__main__':
    main()
