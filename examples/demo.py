"""The demo: a teacher, a baseline and a distilled student on scenes of handwritten digits."""

import argparse
import shutil
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Sequence
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

RUNS = {'teacher': 'teacher', 'baseline': 'student', 'distilled': 'distilled'}  # name in the table: config
PICTURED = 6
SECONDS = 'seconds'  # key under which a checkpoint keeps the time of its training


@dataclass
class Outcome:
    """Result of one training run.

    Args:
        miou: Mean intersection over union on the validation scenes, in percent.
        parameters: Number of parameters of the deployed network.
        macs: MACs of the deployed network for one scene.
        seconds: Seconds of training, without evaluation.
        predictions: Predicted label maps (H, W) of the first validation scenes.
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
    resume: bool = False,
) -> dict[str, list[Outcome]]:
    """Write the data, train, compare, and write ``table.md`` and ``comparison.png`` to ``work_dir``.

    Results of an earlier demo are overwritten, unless the demo resumes. The data are written once.

    Args:
        work_dir: Folder for logs, checkpoints, table and picture.
        data_root: Folder for the scenes, which do not depend on ``seeds``.
        seeds: Seeds of the trainings; each seed trains a teacher, a baseline and a distilled student.
        num_train: Number of training scenes.
        num_val: Number of validation scenes.
        iterations: Iterations of every training; None for those of the configs.
        out: Stream for progress and table; standard output if None.
        resume: Whether to go on where an earlier demo with the same arguments ended.

    Returns:
        dict: one outcome per seed, for each of ``'teacher'``, ``'baseline'``, ``'distilled'``.

    Raises:
        ImportError: If scikit-learn or matplotlib is not installed.
        ValueError: If there is no seed, or if a seed occurs twice.
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
            outcomes[name].append(_train(config, ProgressLine(title, config.train_cfg.max_iters, out), resume))

    table = demo_table(outcomes)
    (work_dir / 'table.md').write_text(table)
    picture = work_dir / 'comparison.png'
    _draw(data_root, {name: results[0].predictions for name, results in outcomes.items()}, picture)
    out.write(
        f'\n{table}\ntable:   {work_dir / "table.md"}\npicture: {picture} '
        f'(the first {len(outcomes["teacher"][0].predictions)} validation scenes, seed {seeds[0]})\n'
    )
    return outcomes


def fastest_threads(few: int, many: int, seconds: Callable[[int], float] | None = None) -> int:
    """The number of threads to train with: the larger one only if it is clearly faster now.

    The maps are small, and where another program uses a core, threads wait for each other: two took more than twice as
    long as one.

    Args:
        few: Number of threads that is safe.
        many: Number of threads that might be faster.
        seconds: Time of some convolutions with a number of threads; measured by default, in less than a second.
    """
    seconds = seconds or _seconds_of_convolutions
    return many if many > few and seconds(many) < 0.8 * seconds(few) else few


def _seconds_of_convolutions(threads: int) -> float:
    torch.set_num_threads(threads)
    layer, maps = torch.nn.Conv2d(32, 32, 3, padding=1), torch.rand(8, 32, 64, 64)
    layer(maps)
    begin = time.perf_counter()
    for _ in range(10):
        layer(maps)
    return time.perf_counter() - begin


def demo_config(leaf: str, work_dir: Path, data_root: str | Path, seed: int, iterations: int | None) -> Config:
    """The config of one run, with its own folder and seed, and little output.

    Args:
        leaf: ``'teacher'``, ``'student'`` or ``'distilled'``; the last uses the teacher in ``work_dir``.
        work_dir: Parent of the run's folder.
        data_root: Folder of the scenes.
        seed: Seed of the training.
        iterations: Number of iterations; None for that of the config.
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
    # MMEngine finds loggers and visualizers by name, and all runs share a process.
    name = f'demo_{leaf}_{seed}_{time.time_ns()}'
    config.visualizer.name = name
    config.update(
        work_dir=str(work_dir / leaf),
        experiment_name=name,
        randomness=dict(seed=seed),
        # At lower levels, MMEngine warns of its own deprecations.
        log_level='ERROR',
    )
    return config


def _train(config: Config, line: 'ProgressLine', resume: bool) -> Outcome:
    if not resume:
        shutil.rmtree(config.work_dir, ignore_errors=True)
    config.resume = resume
    runner = Runner.from_cfg(config)
    watch = ProgressHook(line)
    runner.register_hook(watch, priority='LOW')  # before checkpoints are saved
    runner.train()
    if watch.miou is None:  # the training had already ended
        runner.val_loop.run()
    miou = watch.miou
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
        student=predictions['baseline'],
        distilled=predictions['distilled'],
        palette=scenes.metainfo['palette'],
        path=path,
    )


def demo_table(outcomes: dict[str, list[Outcome]]) -> str:
    """The outcomes as a Markdown table, and a sentence on the gain; mean and std for several seeds.

    Args:
        outcomes: Outcomes of the seeds by the name of the run.
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
    gains = [there.miou - here.miou for here, there in zip(outcomes['baseline'], outcomes['distilled'])]
    seeds = ''
    if len(gains) > 1:
        seeds = f' ({", ".join(f"{gain:+.1f}" for gain in gains)}; mean and std of {len(gains)} seeds)'
    return f'{markdown_table(rows)}\n\nDistillation changes the student by {_spread(gains, "+")} mIoU{seeds}.\n'


def _spread(values: Sequence[float], sign: str = '') -> str:
    mean = f'{statistics.mean(values):{sign}.1f}'
    return mean if len(values) == 1 else f'{mean} ± {statistics.stdev(values):.1f}'


class ProgressHook(Hook):
    """Shows the progress of a training, measures its time, and keeps its last mIoU.

    Args:
        line: Line that shows the progress.
    """

    def __init__(self, line: ProgressLine) -> None:
        self._line = line
        self._begin = 0.0
        self.seconds = 0.0
        self.miou: float | None = None

    def before_train(self, runner: Runner) -> None:
        self.seconds = runner.message_hub.runtime_info.get(SECONDS, 0.0)  # of a resumed training

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Sequence[dict] | None = None) -> None:
        self._begin = self._begin or time.monotonic() - self.seconds

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Sequence[dict] | None = None, outputs: dict | None = None
    ) -> None:
        self.seconds = time.monotonic() - self._begin
        runner.message_hub.update_info(SECONDS, self.seconds)
        self._line.update(runner.iter + 1, runner.max_iters, f', loss {outputs["loss"].item():.2f}')

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        self.miou = float((metrics or {})['mIoU'])


def main():
    warnings.filterwarnings('ignore')  # of libraries
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        '--seeds', type=int, nargs='+', default=[0], help='seeds of the trainings; several give mean and std'
    )
    parser.add_argument(
        '--work-dir', type=Path, default=Path('work_dirs/demo'), help='folder for logs, weights, table and picture'
    )
    parser.add_argument('--data-root', type=Path, default=Path('data/digit_scenes'), help='folder for the scenes')
    parser.add_argument('--resume', action='store_true', help='go on where the same demo was stopped')
    parser.add_argument('--debug', action='store_true', help='show the traceback of every error')
    args = parser.parse_args()
    most = torch.get_num_threads()
    torch.set_num_threads(fastest_threads(max(1, min(4, most // 2)), min(4, most)))
    run_demo(args.work_dir, args.data_root, args.seeds, resume=args.resume)


if __name__ == '__main__':
    run_tool(main)
