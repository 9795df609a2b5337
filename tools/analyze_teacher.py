"""Analyze a teacher on validation images: mIoU, calibration, and entropy of the softened output."""

import argparse
import sys
from pathlib import Path

from mmseg_kd.io.command_line import add_options
from mmseg_kd.io.configs import config_file
from mmseg_kd.io.trust import add_trust_files
from mmseg_kd_startup import run_tool


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config of a distiller, whose teachers are analyzed, or of a segmentor')
    parser.add_argument('checkpoint', nargs='?', help='checkpoint of the teacher; optional if the config names it')
    parser.add_argument('--images', type=int, default=100, help='number of validation images, sampled at random')
    parser.add_argument(
        '--temperatures', type=float, nargs='+', default=[1, 2, 4, 8, 16], help='temperatures of the softened output'
    )
    parser.add_argument('--out', type=Path, help='folder for tables and plots; work_dirs/<config>/analysis if left out')
    add_options(parser)
    add_trust_files(parser)
    parser.add_argument('--debug', action='store_true', help='show the traceback of every error')
    args = parser.parse_args()
    config_file(args.config)  # refuses a missing file
    # These take seconds, which neither --help nor a wrong command line has to wait for.
    from mmengine.registry import init_default_scope

    from mmseg_kd.evaluation.teacher_outputs import analyze_teacher, load_teachers
    from mmseg_kd.evaluation.teacher_report import entropy_csv, reliability_csv, teacher_report
    from mmseg_kd.io.configs import merge_options, read_config
    from mmseg_kd.io.files import write_atomically
    from mmseg_kd.io.progress import ProgressLine
    from mmseg_kd.visualization.teacher_plot import draw_teacher

    config = read_config(args.config)
    merge_options(config, args.cfg_options)
    init_default_scope(config.get('default_scope', 'mmseg'))
    title = Path(args.config).stem
    out = args.out or Path('work_dirs', title, 'analysis')
    reports, written = [], ['teacher.md']
    for key, teacher in load_teachers(config, args.checkpoint, args.config).items():
        name = ' '.join(filter(None, ['teacher', key, 'of', title])) if 'teacher' in config.model else title
        line = ProgressLine(name, args.images, sys.stderr)
        statistics = analyze_teacher(teacher, config, args.temperatures, args.images, line.update)
        line.close(f'{statistics.images} images')
        reports.append(teacher_report(name, statistics))
        print(f'\n{reports[-1]}')
        prefix = f'{key}_' if key else ''
        out.mkdir(parents=True, exist_ok=True)
        write_atomically(out / f'{prefix}entropy.csv', entropy_csv(statistics))
        write_atomically(out / f'{prefix}reliability.csv', reliability_csv(statistics))
        written += [f'{prefix}entropy.csv', f'{prefix}reliability.csv']
        try:
            draw_teacher(name, statistics, out / f'{prefix}teacher.png')
            written.append(f'{prefix}teacher.png')
        except ImportError as error:
            print(f'no plot: {error}')
    write_atomically(out / 'teacher.md', '\n'.join(reports))
    print(f'written to {out}: {", ".join(written)}')


if __name__ == '__main__':
    run_tool(main)
