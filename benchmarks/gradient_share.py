"""Published weights against a share of the gradient, on the scenes of digits; and the cost of measuring the share.

For each term, the demo's student is trained for a few iterations with the published weight and with
``GradientShare(share=0.3)``, with the same images and the same initial weights. The demo's data and teacher must exist:

    make demo
    python benchmarks/gradient_share.py
"""

import argparse
import logging
import statistics
import time
from typing import Any

import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmseg.registry import MODELS

from mmseg_kd import config_file
from mmseg_kd.distillers import Distiller
from mmseg_kd.doctor.loss_parts import gradient_shares, read_parts
from mmseg_kd.io.tables import markdown_table

SHARE = dict(type='GradientShare', share=0.3)
FEATURES = dict(student='prelogits', teacher='prelogits')
LEVELS = ['backbone[1]', 'prelogits', 'logits']
# The published weights, and the layers of the published configs or the demo's nearest ones.
TERMS = {
    'attention transfer': dict(FEATURES, loss=dict(type='AttentionTransferLoss'), weight=1e4),
    'DSD, pixel similarity': dict(
        student=LEVELS, teacher=LEVELS, loss=dict(type='DSDPixelSimilarityLoss'), weight=1000.0
    ),
    'MGD, region level': dict(FEATURES, loss=dict(type='RegionContentLoss'), weight=100.0),
    'response, temperature 4': dict(
        student='logits', teacher='logits', loss=dict(type='PixelWiseKDLoss', temperature=4.0), weight=0.3
    ),
}
TEACHER = 'work_dirs/demo/teacher/iter_800.pth'
LOOK = 5  # iterations between two looks at the shares


def build(config: Config, teacher: str, terms: dict[str, Any], seed: int) -> tuple[Distiller, OptimWrapper]:
    """The demo's student in training, with other terms."""
    torch.manual_seed(seed)
    settings = config.model.to_dict()
    settings.update(teacher=dict(config=settings['teacher']['config'], checkpoint=teacher), terms=terms)
    model = MODELS.build(settings)
    model.init_weights()
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.optim_wrapper.optimizer.lr, weight_decay=0.01)
    return model.train(), OptimWrapper(optimizer)


def train(model: Distiller, wrapper: OptimWrapper, batches: list[dict], config: Config) -> dict[str, list[float]]:
    """Losses of the labels, shares and weights of the term, over the iterations; weights of 0 leave the term out."""
    rate, logs = wrapper.param_groups[0]['lr'], dict[str, list[float]](labels=[], share=[], weight=[])
    for iteration, batch in enumerate(batches):
        wrapper.param_groups[0]['lr'] = rate * min(1, (iteration + 1) / config.param_scheduler[0].end)
        model.move_terms(iteration, len(batches))
        if iteration % LOOK == 0 and model.terms['loss_x'].active:
            logs['share'].append(gradient_shares(list(read_parts(model, batch).values()))['loss_x'])
        logs['labels'].append(model.train_step(batch, wrapper)['decode.loss_ce'].item())
        logs['weight'].append(model.terms['loss_x'].weight)
    return logs


def compare(config: Config, teacher: str, batches: list[dict]) -> str:
    """A table of the terms: shares of the gradient, and the loss of the labels at the end."""
    last = len(batches) // 3
    alone = train(
        *build(config, teacher, dict(loss_x=dict(TERMS['attention transfer'], weight=0.0)), 0), batches, config
    )
    rows = [['term', 'weight', 'share: first, median, largest', 'loss of the labels at the end']]
    rows += [['none', '', '', f'{statistics.mean(alone["labels"][-last:]):.3f}']]
    for name, term in TERMS.items():
        for weight in (term['weight'], SHARE):
            logs = train(*build(config, teacher, dict(loss_x=dict(term, weight=weight)), 0), batches, config)
            first, middle, largest = logs['share'][0], statistics.median(logs['share']), max(logs['share'])
            used = logs['weight']
            told = f'{used[0]:g}' if weight is not SHARE else f'share 0.3: {used[0]:.3g} to {used[-1]:.3g}'
            shares = f'{100 * first:.0f} %, {100 * middle:.0f} %, {100 * largest:.0f} %'
            rows.append([name, told, shares, f'{statistics.mean(logs["labels"][-last:]):.3f}'])
            print(rows[-1], flush=True)
    return markdown_table(rows)


def cost(config: Config, teacher: str, batches: list[dict], rounds: int) -> str:
    """A table of the processor time of steps with and without a measurement, interleaved."""
    rows = [['terms', 'step, s', 'step that measures, s', 'more time: 800 iterations', '20,000', '80,000']]
    for names in (['response, temperature 4'], list(TERMS)):
        weights = {f'loss_{i}': TERMS[name] for i, name in enumerate(names)}
        share = 0.3 / len(names)
        shared = {key: dict(term, weight=dict(SHARE, share=share)) for key, term in weights.items()}
        (fixed, fixed_wrapper), (model, wrapper) = (build(config, teacher, terms, 0) for terms in (weights, shared))
        spacing = 50 * (1 + len(names))
        measured: Any = model.gradient_shares
        seconds: dict[str, list[float]] = dict(fixed=[], plain=[], measuring=[])
        for i in range(rounds + 1):
            for kind in seconds:
                step = (fixed, fixed_wrapper) if kind == 'fixed' else (model, wrapper)
                for norm in measured.norms.values():
                    norm._numbers[2] = 20  # beyond the first measurements
                step[0].move_terms(2 * i * spacing + (kind == 'measuring') * spacing, 10**6)
                measured.measured_at = 2 * i * spacing if kind == 'measuring' else 10**9
                begin = time.process_time()
                step[0].train_step(batches[i % len(batches)], step[1])
                if i:
                    seconds[kind].append(time.process_time() - begin)
        plain, measuring = (
            statistics.median(seconds['fixed'] + seconds['plain']),
            statistics.median(seconds['measuring']),
        )
        more = [measurements(total, spacing) * (measuring - plain) / (plain * total) for total in (800, 20_000, 80_000)]
        rows.append([str(len(names)), f'{plain:.3f}', f'{measuring:.3f}', *(f'{100 * part:.1f} %' for part in more)])
    return markdown_table(rows)


def measurements(total: int, spacing: int) -> int:
    """The number of measurements in a training.

    Example:
        >>> measurements(total=1000, spacing=100)  # 0, 1, 3, 7, 15, 31, 63, 127, 227, ...
        16
    """
    at, number, gap = 0, 0, 1
    while at < total:
        number, at, gap = number + 1, at + min(gap, spacing), gap * 2
    return number


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--iterations', type=int, default=60, help='length of each training; default: %(default)s')
    parser.add_argument('--rounds', type=int, default=15, help='timed steps of each kind; default: %(default)s')
    args = parser.parse_args()
    logging.disable(logging.INFO)  # the initial weights, parameter by parameter
    init_default_scope('mmseg')
    config = Config.fromfile(config_file('mmseg_kd::demo/distilled.py'))
    config.train_dataloader.dataset.data_root = 'data/digit_scenes'
    torch.manual_seed(0)
    loader = iter(Runner.build_dataloader(config.train_dataloader, seed=0))
    batches = [next(loader) for _ in range(args.iterations)]
    print(cost(config, TEACHER, batches, args.rounds), flush=True)
    print(f'\n{compare(config, TEACHER, batches)}')


if __name__ == '__main__':
    main()
