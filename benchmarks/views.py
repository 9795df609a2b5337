"""Time of a training step with stored teacher outputs, relative to that of the student alone, with loading of images.

The task is that of examples/demo.py. Steps of the student alone, with the teacher, and with its stored outputs are
interleaved in one process, so background load affects all three equally. The teacher has random weights, which take the
same time. An interrupted command continues with the cache that it began.
"""

import argparse
import copy
import statistics
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmseg.registry import MODELS

from mmseg_kd.cache import cache_cost
from mmseg_kd.datasets import write_digit_scenes
from mmseg_kd.engine.teacher_cache import Request, cached_teachers, make_cache
from mmseg_kd.engine.views import as_views, numbers_of
from mmseg_kd.io.configs import config_file, model_config
from mmseg_kd.io.files import write_atomically
from mmseg_kd.io.tables import markdown_table
from mmseg_kd_startup import run_tool

CODES = ('float16', 'top4')  # encodings of the logits


def steps_of(config: Config) -> Iterator[float]:
    """Seconds of training steps, each with loading its images."""
    torch.manual_seed(0)
    model = MODELS.build(copy.deepcopy(config.model)).train()
    caches = cached_teachers(model)
    loader = as_views(config.train_dataloader.to_dict(), **(numbers_of(caches[0]) if caches else {}))
    batches = iter(Runner.build_dataloader(loader, seed=0))
    optimizer = build_optim_wrapper(model, config.optim_wrapper)
    while True:
        begin = time.perf_counter()
        model.train_step(next(batches), optimizer)
        yield time.perf_counter() - begin


def configs(folder: Path, images: int, views: int) -> dict[str, Config]:
    """Configs of the student alone, with the teacher, and with each cache, by name; makes what they need."""
    init_default_scope('mmseg')
    write_digit_scenes(folder / 'scenes', num_train=images, num_val=1)
    weights = folder / 'teacher.pth'
    if not weights.is_file():
        torch.manual_seed(0)
        torch.save(MODELS.build(model_config('mmseg_kd::demo/teacher.py')).state_dict(), weights)
    found: dict[str, Config] = {}
    for name, leaf in (('student alone', 'student'), ('teacher', 'distilled')):
        found[name] = Config.fromfile(config_file(f'mmseg_kd::demo/{leaf}.py'))
        found[name].train_dataloader.dataset.data_root = str(folder / 'scenes')
    found['teacher'].model.teacher.checkpoint = str(weights)
    for code in CODES:
        out = folder / f'cache_{code}'
        make_cache(found['teacher'], Request(str(out), views, code), lambda text: print(text, file=sys.stderr))
        found[f'stored {code}'] = copy.deepcopy(found['teacher'])
        found[f'stored {code}'].model.teacher.cache = str(out)
    return found


def measure(found: dict[str, Config], rounds: int) -> dict[str, list[float]]:
    """Seconds of interleaved steps by name, without the first ones."""
    running = {name: steps_of(config) for name, config in found.items()}
    seconds: dict[str, list[float]] = {name: [] for name in found}
    for number in range(rounds + 3):
        for name, steps in running.items():
            taken = next(steps)
            if number >= 3:
                seconds[name].append(taken)
    return seconds


def report(seconds: dict[str, list[float]], folder: Path) -> str:
    """A table of the medians; ratios are medians over rounds."""
    rows: list[tuple[Any, ...]] = [
        ('step', 'milliseconds', 'relative to the student alone', 'stored, MB', 'made in, s')
    ]
    for name, taken in seconds.items():
        ratio = statistics.median(own / base for own, base in zip(taken, seconds['student alone']))
        cost = cache_cost(folder / f'cache_{name.removeprefix("stored ")}') if name.startswith('stored') else None
        told = (f'{cost.bytes / 1e6:.1f}', f'{cost.seconds:.0f}') if cost else ('', '')
        rows.append((name, f'{1000 * statistics.median(taken):.1f}', f'{ratio:.2f}', *told))
    return markdown_table(rows)


def main() -> None:
    warnings.filterwarnings('ignore')  # of libraries
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--images', type=int, default=3000, help='number of training scenes')
    parser.add_argument('--views', type=int, default=1, help='number of views; the scenes have no augmentation')
    parser.add_argument('--rounds', type=int, default=100, help='number of interleaved steps of each kind')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/views'), help='folder for all files')
    parser.add_argument('--debug', action='store_true', help='show the traceback of every error')
    args = parser.parse_args()
    torch.set_num_threads(1)
    table = report(measure(configs(args.work_dir, args.images, args.views), args.rounds), args.work_dir)
    write_atomically(args.work_dir / 'views.md', table)
    print(table)


if __name__ == '__main__':
    run_tool(main, 'the same command continues')
