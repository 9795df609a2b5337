"""Train a half-width PSPNet-R18 on CamVid with every method, for the same few iterations, and print a table.

Each training is a process of `tools/train.py`; `--jobs` run at the same time. Finished trainings are not repeated, so a
killed benchmark can be started again. The teacher must exist:

    python tools/train.py configs/camvid/r18_camvid.py
    python benchmarks/camvid.py --iterations 300 --crop 128 --jobs 2
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mmseg_kd.io.files import write_atomically
from mmseg_kd.io.runs import read_run
from mmseg_kd.io.tables import markdown_table

ROOT = Path(__file__).resolve().parents[1]
SUFFIX = '_r18_r18half_camvid'
BASELINE_CONFIG = 'r18half_camvid'
BASELINE = 'baseline'


def command(config: Path, seed: int, work_dir: Path, iterations: int, crop: int) -> list[str]:
    """Command of one training. The teacher runs in bfloat16, which halves its time on CPUs that support it."""
    options = [
        f'randomness.seed={seed}',
        f'train_cfg.max_iters={iterations}',
        f'train_cfg.val_interval={iterations}',
        f'param_scheduler.0.end={iterations}',
        f'train_dataloader.dataset.pipeline.3.crop_size=({crop},{crop})',
        f'default_hooks.checkpoint.interval={iterations}',
        'default_hooks.checkpoint.save_best=None',
        'default_hooks.checkpoint.max_keep_ckpts=1',
    ]
    if config.stem == BASELINE_CONFIG:
        options += [f'model.data_preprocessor.size=({crop},{crop})']
    else:
        options += [f'model.student.data_preprocessor.size=({crop},{crop})', 'model.teacher.dtype=bfloat16']
    return [
        sys.executable,
        str(ROOT / 'tools/train.py'),
        str(config),
        '--work-dir',
        str(work_dir),
        '--cfg-options',
        *options,
    ]


def train(name: str, config: Path, seed: int, work_dir: Path, iterations: int, crop: int) -> None:
    """Train, and write time and mIoU to ``result.json``. A failed training leaves only its log."""
    work_dir.mkdir(parents=True, exist_ok=True)
    with open(work_dir / 'output.log', 'w') as log:
        process = subprocess.Popen(
            command(config, seed, work_dir, iterations, crop),
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env=dict(os.environ, OMP_NUM_THREADS='1'),
        )
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        print(f'{name}, seed {seed}: failed; see {work_dir / "output.log"}', file=sys.stderr, flush=True)
        return
    miou = read_run(work_dir).miou
    result = dict(
        name=name,
        seed=seed,
        iterations=iterations,
        crop=crop,
        miou=miou,
        seconds=usage.ru_utime + usage.ru_stime,
        megabytes=usage.ru_maxrss / 1024,
    )
    write_atomically(work_dir / 'result.json', json.dumps(result))
    for path in work_dir.rglob('*.pth'):
        path.unlink()
    print(f'{name}, seed {seed}: {miou:.2f} mIoU', file=sys.stderr, flush=True)


def runs(only: list[str], seeds: int) -> list[tuple[str, Path, int]]:
    """Name, config and seed of every training: the baseline with several seeds, each method with one."""
    configs = sorted((ROOT / 'configs/camvid').glob(f'*{SUFFIX}.py'))
    methods = [(path.stem.removesuffix(SUFFIX), path, 0) for path in configs]
    baseline = [(BASELINE, ROOT / f'configs/camvid/{BASELINE_CONFIG}.py', seed) for seed in range(seeds)]
    return [run for run in baseline + methods if not only or run[0] in only]


def table(results: list[dict]) -> str:
    """A Markdown table: the baseline with its std, then the methods from the best to the worst."""
    baseline = [result['miou'] for result in results if result['name'] == BASELINE]
    mean, std = statistics.mean(baseline), statistics.stdev(baseline) if len(baseline) > 1 else float('nan')
    rows = [('method', 'mIoU', 'gain', 'iterations', 'CPU seconds', 'peak MiB')]
    methods = sorted((r for r in results if r['name'] != BASELINE), key=lambda r: -r['miou'])
    for result in [r for r in results if r['name'] == BASELINE] + methods:
        label = f'{BASELINE}, seed {result["seed"]}' if result['name'] == BASELINE else result['name']
        rows.append(
            (
                label,
                f'{result["miou"]:.2f}',
                f'{result["miou"] - mean:+.2f}',
                f'{result["iterations"]}',
                f'{result["seconds"]:.0f}',
                f'{result["megabytes"]:.0f}',
            )
        )
    return '\n'.join([markdown_table(rows), '', f'Baseline: {mean:.2f} ± {std:.2f} mIoU over {len(baseline)} seeds.'])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--iterations', type=int, default=300, help='iterations of each training')
    parser.add_argument('--crop', type=int, default=128, help='height and width of the crops')
    parser.add_argument('--seeds', type=int, default=3, help='number of seeds of the baseline')
    parser.add_argument('--jobs', type=int, default=1, help='number of trainings at the same time')
    parser.add_argument('--only', nargs='+', default=[], metavar='METHOD', help='methods to train; all by default')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/camvid_methods'), help='folder of all runs')
    args = parser.parse_args()
    folders = {}
    with ThreadPoolExecutor(args.jobs) as pool:
        for name, config, seed in runs(args.only, args.seeds):
            folder = args.work_dir.resolve() / f'{config.stem}_{args.iterations}_{args.crop}_{seed}'
            folders[folder] = name
            if not (folder / 'result.json').exists():
                pool.submit(train, name, config, seed, folder, args.iterations, args.crop)
    results = [
        dict(json.loads((folder / 'result.json').read_text()), name=name)
        for folder, name in folders.items()
        if (folder / 'result.json').exists()
    ]
    if results:
        print(table(results))


if __name__ == '__main__':
    main()
