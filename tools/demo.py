"""Show what distillation does, in minutes: train a teacher, a student alone, and the same student distilled."""
import argparse
import contextlib
import io
import warnings
from pathlib import Path

import torch

# What OpenMMLab says while it is imported is of no use here.
warnings.filterwarnings('ignore')
with contextlib.redirect_stdout(io.StringIO()):
    from mmseg_kd.analysis.demo import run_demo


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--seeds', type=int, nargs='+', default=[0], help='of training; several: mean and deviation')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/demo'), help='logs, weights, table, picture')
    parser.add_argument('--data-root', type=Path, default=Path('data/digit_scenes'), help='where the scenes are')
    args = parser.parse_args()
    # The maps are small, so threads gain little; and where one waits for a core that something else uses, all wait.
    torch.set_num_threads(max(1, min(4, torch.get_num_threads() // 2)))
    try:
        run_demo(args.work_dir, args.data_root, args.seeds)
    except (ImportError, ValueError) as error:
        raise SystemExit(str(error))


if __name__ == '__main__':
    main()
