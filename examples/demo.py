"""The demo: a teacher, a student that learns alone, and the same student distilled, on scenes of handwritten digits."""

import argparse
import shutil
import statistics
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmseg_kd.datasets import DigitScenesDataset, write_digit_scenes
from mmseg_kd.distillers import Distiller
from mmseg_kd.io.configs import config_file
from mmseg_kd.io.progress import ProgressLine
from mmseg_kd.io.tables import markdown_table
from mmseg_kd.profiling.complexity import complexity
from mmseg_kd.visualization.comparison_picture import comparison_picture
from mmseg_kd.visualization.picture_grid import check_matplotlib
from mmseg_kd_startup import run_tool

RUNS = {'teacher': 'teacher', 'student alone': 'student', 'student distilled': 'distilled'}
PICTURED = 6


@dataclass
class Outcome:
    """What came out of one training run.

    Args:
        miou: mean intersection over union on the validation scenes, in percent.
        parameters: of the network that is deployed.
        macs: MACs of it for one scene.
        seconds: of training, without evaluation.
        predictions: label maps (H, W) of the first validation scenes.
    """

    miou: float
    parameters: int
    macs: int
    seconds: float
    predictions: list[np.ndarray]


def run_demo(
    work_dir: str | Path = 'work_dirs/demo',
    data_root: str | Path = 'data/digit_scenes',
    seeds: Sequence[int] = (0,),
    num_train: int = 3000,
    num_val: int = 200,
    iterations: int | None = None,
    out: TextIO | None = None,
) -> dict[str, list[Outcome]]:
    """Write the data, train, compare, and leave ``table.md`` and ``comparison.png`` in ``work_dir``.

    Whatever an earlier run left in the folders of the training runs is removed, so that it may be killed and started
    again at any time; the data are written once.

    Args:
        work_dir: where logs, checkpoints, table and picture go.
        data_root: where the scenes go; drawn from the same seed whatever ``seeds`` are.
        seeds: of training; each is a teacher, a student alone and a student distilled.
        num_train: training scenes.
        num_val: validation scenes.
        iterations: of every training run; None for those of the configs.
        out: where progress and table are printed; standard output if None.

    Returns:
        dict: one outcome per seed, for each of ``'teacher'``, ``'student alone'``, ``'student distilled'``.

    Raises:
        ImportError: if scikit-learn or matplotlib is not installed; before anything is computed.
        ValueError: if there is no seed, or one is given twice.
    """
    if not seeds or len(set(seeds)) < len(seeds):
        raise ValueError(f'seeds must be different numbers, at least one, but are {list(seeds)}')
    out = out or sys.stdout
    work_dir = Path(work_dir)
    check_matplotlib()
    line = ProgressLine('digit scenes', num_train + num_val, out)
    written = write_digit_scenes(data_root, num_train=num_train, num_val=num_val, report=line.update)
    line.close(
        f'{num_train} for training, {num_val} for validation, {"written to" if written else "found in"} {data_root}'
    )

    outcomes: dict[str, list[Outcome]] = {name: [] for name in RUNS}
    for seed in seeds:
        folder = work_dir if len(seeds) == 1 else work_dir / f'seed_{seed}'
        for name, leaf in RUNS.items():
            config = demo_config(leaf, folder, data_root, seed, iterations)
            title = name if len(seeds) == 1 else f'{name}, seed {seed}'
            outcomes[name].append(_train(config, ProgressLine(title, config.train_cfg.max_iters, out)))

    table = demo_table(outcomes)
    (work_dir / 'table.md').write_text(table)
    picture = work_dir / 'comparison.png'
    _draw(data_root, {name: results[0].predictions for name, results in outcomes.items()}, picture)
    out.write(
        f'\n{table}\ntable:   {work_dir / "table.md"}\npicture: {picture} '
        f'(the first {len(outcomes["teacher"][0].predictions)} validation scenes, seed {seeds[0]})\n'
    )
    return outcomes


def demo_config(leaf: str, work_dir: Path, data_root: str | Path, seed: int, iterations: int | None) -> Config:
    """The config of one run, made quiet, with its own place and seed.

    Args:
        leaf: ``'teacher'``, ``'student'`` or ``'distilled'``; the last takes the teacher trained in ``work_dir``.
        work_dir: the parent of the run's folder.
        data_root: of the scenes.
        seed: of training.
        iterations: None for those of the config.
    """
    config = Config.fromfile(config_file(f'mmseg_kd::demo/{leaf}.py'))
    if iterations is not None:
        config.train_cfg.update(max_iters=iterations, val_interval=iterations)
        config.default_hooks.checkpoint.interval = iterations
        config.param_scheduler[-1].end = iterations
    if 'teacher' in config.model:
        config.model.teacher.checkpoint = str(work_dir / 'teacher' / f'iter_{config.train_cfg.max_iters}.pth')
    for loader in (config.train_dataloader, config.val_dataloader, config.test_dataloader):
        loader.dataset.data_root = str(data_root)
    # MMEngine keeps loggers and visualizers by name, and the runs share a process.
    name = f'demo_{leaf}_{seed}_{time.time_ns()}'
    config.visualizer.name = name
    config.update(
        work_dir=str(work_dir / leaf),
        experiment_name=name,
        randomness=dict(seed=seed),
        # Below that, MMEngine speaks of its own deprecations.
        log_level='ERROR',
    )
    return config


def _train(config: Config, line: 'ProgressLine') -> Outcome:
    shutil.rmtree(config.work_dir, ignore_errors=True)
    runner = Runner.from_cfg(config)
    watch = ProgressHook(line)
    runner.register_hook(watch, priority='LOWEST')
    runner.train()
    miou = float(runner.message_hub.get_scalar('val/mIoU').current())
    line.close(f'{config.train_cfg.max_iters} iterations in {watch.seconds:.0f} s, mIoU {miou:.1f} %')

    scenes = runner.val_loop.dataloader.dataset
    with torch.no_grad():
        samples = runner.model.test_step(pseudo_collate([scenes[i] for i in range(min(PICTURED, len(scenes)))]))
    network = runner.model.student if isinstance(runner.model, Distiller) else runner.model
    parameters, macs = complexity(network, samples[0].img_shape)
    predictions = [sample.pred_sem_seg.data[0].cpu().numpy() for sample in samples]
    return Outcome(miou, parameters, macs, watch.seconds, predictions)


def _draw(data_root: str | Path, predictions: dict[str, list[np.ndarray]], path: Path) -> None:
    scenes = DigitScenesDataset(
        data_root=str(data_root),
        img_suffix='.png',
        data_prefix=dict(img_path='img_dir/val', seg_map_path='ann_dir/val'),
        pipeline=[dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')],
    )
    shown = [scenes[i] for i in range(len(predictions['teacher']))]
    comparison_picture(
        images=[scene['img'][..., ::-1] for scene in shown],
        truth=[scene['gt_seg_map'] for scene in shown],
        teacher=predictions['teacher'],
        student=predictions['student alone'],
        distilled=predictions['student distilled'],
        palette=scenes.metainfo['palette'],
        path=path,
    )


def demo_table(outcomes: dict[str, list[Outcome]]) -> str:
    """The outcomes as a Markdown table and a sentence on the gain; mean and standard deviation of several seeds.

    Args:
        outcomes: one outcome per seed, by the name of the run.
    """
    rows = [('', 'mIoU, %', 'parameters', 'MACs', 'training, s')]
    for name, results in outcomes.items():
        rows.append(
            (
                name,
                _spread([result.miou for result in results]),
                f'{results[0].parameters / 1e6:.3f} M',
                f'{results[0].macs / 1e6:.1f} M',
                f'{statistics.mean(result.seconds for result in results):.0f}',
            )
        )
    gains = [there.miou - here.miou for here, there in zip(outcomes['student alone'], outcomes['student distilled'])]
    seeds = ''
    if len(gains) > 1:
        seeds = f' ({", ".join(f"{gain:+.1f}" for gain in gains)}; mean and std of {len(gains)} seeds)'
    return f'{markdown_table(rows)}\n\nDistillation changes the student by {_spread(gains, "+")} mIoU{seeds}.\n'


def _spread(values: Sequence[float], sign: str = '') -> str:
    mean = f'{statistics.mean(values):{sign}.1f}'
    return mean if len(values) == 1 else f'{mean} ± {statistics.stdev(values):.1f}'


class ProgressHook(Hook):
    """Moves a :class:`ProgressLine` with training, and takes the time of it.

    Args:
        line: to move.
    """

    def __init__(self, line: ProgressLine) -> None:
        self._line = line
        self._begin = 0.0
        self.seconds = 0.0

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Sequence[dict] | None = None) -> None:
        if runner.iter == 0:
            self._begin = time.monotonic()

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Sequence[dict] | None = None, outputs: dict | None = None
    ) -> None:
        self.seconds = time.monotonic() - self._begin
        self._line.update(runner.iter + 1, runner.max_iters, f', loss {outputs["loss"].item():.2f}')


def main():
    warnings.filterwarnings('ignore')  # of libraries: this tool prints what matters
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        '--seeds', type=int, nargs='+', default=[0], help='seeds of the trainings; several give mean and std'
    )
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/demo'), help='logs, weights, table, picture')
    parser.add_argument('--data-root', type=Path, default=Path('data/digit_scenes'), help='where the scenes are')
    parser.add_argument('--debug', action='store_true', help='show the traceback of every error')
    args = parser.parse_args()
    # The maps are small, so threads gain little; and where one waits for a core that something else uses, all wait.
    torch.set_num_threads(max(1, min(4, torch.get_num_threads() // 2)))
    run_demo(args.work_dir, args.data_root, args.seeds)


if __name__ == '__main__':
    run_tool(main)
