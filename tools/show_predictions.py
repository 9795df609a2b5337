"""Show the validation images that a network segments best and worst."""

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
    parser.add_argument('config', help='config of a segmentor, or of a distiller, whose student and teachers are shown')
    parser.add_argument('checkpoint', help='checkpoint of the segmentor or distiller')
    parser.add_argument('--count', type=int, default=4, help='number of best and of worst images')
    parser.add_argument(
        '--out', type=Path, metavar='FILE', help='PNG to write; work_dirs/<config>/analysis/predictions.png if left out'
    )
    add_options(parser, 'of the config, such as val_dataloader.dataset.indices=100 for the first 100 images')
    add_trust_files(parser)
    parser.add_argument('--debug', action='store_true', help='show the traceback of every error')
    args = parser.parse_args()
    config_file(args.config)  # refuses a missing file
    # These take seconds, which neither --help nor a wrong command line has to wait for.
    from mmengine.registry import init_default_scope

    from mmseg_kd.io.configs import merge_options, read_config
    from mmseg_kd.io.progress import ProgressLine
    from mmseg_kd.visualization.picture_grid import check_matplotlib
    from mmseg_kd.visualization.prediction_picture import draw_examples, examples_report, find_examples

    check_matplotlib()
    config = read_config(args.config)
    merge_options(config, args.cfg_options)
    init_default_scope(config.get('default_scope', 'mmseg'))
    title = Path(args.config).stem
    line = ProgressLine(title, 1, sys.stderr)
    examples = find_examples(config, args.checkpoint, args.count, line.update)
    line.close(f'{len(examples.ious)} images')
    print(examples_report(examples))
    if examples.no_teacher is not None:
        print(f'without the teacher: {examples.no_teacher}')
    out = args.out or Path('work_dirs', title, 'analysis', 'predictions.png')
    out.parent.mkdir(parents=True, exist_ok=True)
    draw_examples(examples, out)
    print(f'written: {out}')


if __name__ == '__main__':
    run_tool(main)
