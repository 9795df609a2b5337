"""Tune the settings of every candidate stage by stage, and repeat the best over seeds, with one or more workers."""

import argparse
import signal
import sys
import warnings
from pathlib import Path

from mmseg_kd.io.command_line import add_options
from mmseg_kd.io.trust import add_trust_files
from mmseg_kd_startup import run_tool

ADVICE = 'the same command continues'


def main():
    warnings.filterwarnings('ignore')  # of libraries: this tool prints what matters
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('sweep', help='sweep file, as a path or mmseg_kd::sweeps/...')
    parser.add_argument('--work-dir', help='folder of all runs; overrides work_dir of the sweep file')
    parser.add_argument(
        '--storage',
        help='URL of a database, for many workers; by default a journal file in the work directory, which workers on '
        'several machines share too',
    )
    parser.add_argument('--retry-failed', action='store_true', help='run failed trainings again')
    parser.add_argument(
        '--dry-run', action='store_true', help='print all runs with their iterations and times, without training'
    )
    add_options(parser, 'of the sweep file, such as budget.value=40000 or seeds=[0,1]')
    add_trust_files(parser)
    parser.add_argument('--debug', action='store_true', help='show the traceback of every error')
    args = parser.parse_args()
    # These take seconds, which neither --help nor a wrong command line has to wait for.
    from mmseg_kd.io.stop_signals import SIGNALS, stop_signals
    from mmseg_kd.sweep.plan import load_sweep
    from mmseg_kd.sweep.sweep import dry_run, run_sweep

    options = dict(args.cfg_options, **(dict(work_dir=args.work_dir) if args.work_dir else {}))
    sweep = load_sweep(args.sweep, options)
    if args.dry_run:
        dry_run(sweep)
    else:
        trainer = [sys.executable, str(Path(__file__).with_name('train.py'))]
        # Signals of a scheduler or a closed terminal must also stop the training, which saves its state.
        with stop_signals(ADVICE, (*SIGNALS, signal.SIGHUP)):
            run_sweep(sweep, trainer, args.storage, args.retry_failed)


if __name__ == '__main__':
    run_tool(main, ADVICE)
