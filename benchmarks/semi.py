"""Compare the time of a step with unlabeled images with the time of its necessary network passes.

The passes are: student forward and backward on the labeled and on the mixed images, with the cross-entropy alone; and
one forward pass of each teacher on every batch that terms read. In cross pseudo supervision, both networks make both
kinds of passes. Step and passes are interleaved in one process, on images of noise and with random weights. Time is
processor time, without data, optimizer and the hook of Mean Teacher.

    OMP_NUM_THREADS=1 python benchmarks/semi.py --crop 256 --batch 2 --repeats 5 --threads 1
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from mmseg_kd import config_file
from mmseg_kd.distillers import CrossPseudoSupervision, MeanTeacher, SemiSupervisedDistiller
from mmseg_kd.sweep.budget import teachers

CONFIGS = tuple(f'mmseg_kd::semi/{way}_r18_voc12aug.py' for way in ('mt', 'cps', 'kd', 'mgd'))


class Batch(NamedTuple):
    """Preprocessed images and labels, as a segmentor gets them."""

    inputs: dict
    data_samples: dict


class Part(NamedTuple):
    """One pass of one network: the batch that it sees, and whether it has a backward pass."""

    network: nn.Module
    sees: str
    learns: bool


def build(config: Config, crop: int) -> SemiSupervisedDistiller:
    """The segmentor of a training, in train mode, with random weights and the final weights of terms."""
    for spec in teachers(config):
        spec['checkpoint'] = None
    config.model.student.pretrained = None
    config.model.student.data_preprocessor.size = (crop, crop)
    model = revert_sync_batchnorm(MODELS.build(config.model))
    for teacher in model.teachers.values():
        revert_sync_batchnorm(teacher.module)
    model.move_terms(config.train_cfg.max_iters, config.train_cfg.max_iters)
    return model.train()


def draw(num_classes: int, batch: int, crop: int) -> Batch:
    """Images of noise, with labels of any class."""
    images = [torch.randn(batch, 3, crop, crop) for _ in range(3)]
    samples = [[sample(label) for label in torch.randint(num_classes, (batch, 1, crop, crop))] for _ in images]
    return Batch(dict(labeled=images[0], unlabeled=images[1:]), dict(labeled=samples[0], unlabeled=samples[1:]))


def sample(label: Tensor) -> SegDataSample:
    return SegDataSample(gt_sem_seg=PixelData(data=label), metainfo=dict(img_shape=tuple(label.shape[1:])))


def parts(model: SemiSupervisedDistiller) -> list[Part]:
    """The passes that the terms need according to the papers, independent of the segmentor's code."""
    learning = [Part(model.student, batch, True) for batch in ('labeled', 'mixed')]
    if isinstance(model, CrossPseudoSupervision):
        learning += [part._replace(network=model.peer) for part in learning]
        return learning + [
            Part(network, batch, False) for network in (model.student, model.peer) for batch in ('first', 'second')
        ]
    if isinstance(model, MeanTeacher):
        return learning + [Part(model.teacher, batch, False) for batch in ('labeled', 'mixed')]
    batches = ['labeled', 'mixed']
    if any('unmixed' in path for term in model.all_terms.values() for path in term.teacher_paths):
        batches += ['first', 'second']
    return learning + [Part(teacher.module, batch, False) for teacher in model.teachers.values() for batch in batches]


def step(model: SemiSupervisedDistiller, batch: Batch) -> None:
    """Forward and backward."""
    model.parse_losses(model.loss(batch.inputs, batch.data_samples))[0].backward()


def run(part: Part, batch: Batch) -> None:
    """Run one pass. All batches of images take the same time."""
    first, second = batch.inputs['unlabeled']
    images = dict(labeled=batch.inputs['labeled'], first=first, second=second, mixed=first)[part.sees]
    if not part.learns:
        with torch.no_grad():
            part.network(images.to(next(part.network.parameters()).dtype), mode='tensor')
    elif part.sees == 'labeled':
        losses = part.network(images, batch.data_samples['labeled'], mode='loss')
        sum(value for name, value in losses.items() if 'loss' in name).backward()
    else:
        logits = part.network(images, mode='tensor')
        F.cross_entropy(logits, logits.argmax(1)).backward()


def seconds(function: Callable[[], None]) -> float:
    """Processor time of one call, user and system."""
    start = time.process_time()
    function()
    return time.process_time() - start


def measure(model: SemiSupervisedDistiller, batch: Batch, repeats: int) -> tuple[float, float]:
    """Median seconds of the step and of its passes."""
    times: list[tuple[float, float]] = []
    for _ in range(repeats + 1):
        taken = []
        for function in (lambda: step(model, batch), lambda: [run(part, batch) for part in parts(model)]):
            model.zero_grad(set_to_none=True)
            if isinstance(model, MeanTeacher):
                model.update_teacher(0.99)
            taken.append(seconds(function))
        times.append(tuple(taken))
    whole, sum_of_parts = zip(*times[1:])  # the first run also builds the teachers
    return statistics.median(whole), statistics.median(sum_of_parts)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        'configs', nargs='*', default=CONFIGS, help='configs to measure; by default those for VOC with ResNet-18'
    )
    parser.add_argument('--crop', type=int, default=256, help='height and width of the images')
    parser.add_argument('--batch', type=int, default=2, help='number of images in each branch')
    parser.add_argument('--repeats', type=int, default=5, help='number of runs, whose median counts')
    parser.add_argument('--threads', type=int, default=1, help='number of threads')
    args = parser.parse_args(arguments)
    torch.set_num_threads(args.threads)
    init_default_scope('mmseg')
    print(f'torch {torch.__version__}, {args.threads} thread(s), batch {args.batch}, crops of {args.crop}, float32\n')
    print('| config | passes with gradient | passes without | step, ms | passes, ms | ratio |')
    print('|---|---|---|---|---|---|', flush=True)
    for name in args.configs:
        model = build(Config.fromfile(config_file(name)), args.crop)
        whole, sum_of_parts = measure(model, draw(model.num_classes, args.batch, args.crop), args.repeats)
        learn = [part.learns for part in parts(model)]
        print(
            f'| {name.rpartition("/")[2].removesuffix(".py")} | {learn.count(True)} | {learn.count(False)} | '
            f'{1000 * whole:.0f} | {1000 * sum_of_parts:.0f} | {whole / sum_of_parts:.3f} |',
            flush=True,
        )


if __name__ == '__main__':
    main()
