"""The time of a distillation step by its parts, and its ratio to the floor.

The floor is a step of the student alone and the teacher's forward pass up to the deepest value that a term reads. Step,
floor and the terms alone (forward and backward on recorded maps) are interleaved in one process; medians count. With
``--terms``, step / floor is 1 + terms / floor: terms of a hundredth of a step are lost in the noise of whole steps.

Time is processor time on a CPU, so that other programs count little, and that of CUDA events on a GPU. The data wait is
the only wall time; it is measured where the data set exists. Weights are random, and so are images without a data set.

    python benchmarks/step.py mmseg_kd::kd/pi_r101_r18_cityscapes.py --scale 0.25 --batch 2
    python benchmarks/step.py --all --scale 0.5            # the tables of docs/benchmarks/speed.md
    python benchmarks/step.py --all --device cuda --scale 1 --batch 8
    python benchmarks/step.py mmseg_kd::demo/distilled.py --options --trained --scale 1     # after `make demo`
"""

import argparse
import copy
import csv
import statistics
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from mmseg_kd import config_file
from mmseg_kd.distillers import Distiller
from mmseg_kd.distillers.batch_norm_folding import output_error
from mmseg_kd.distillers.inference import forward_inference
from mmseg_kd.distillers.side_stream import SideStream
from mmseg_kd.distillers.teacher import FrozenTeacher
from mmseg_kd.distillers.term import student_paths, wanted_paths
from mmseg_kd.io.tables import markdown_table
from mmseg_kd.losses.ops import tensor_sum
from mmseg_kd.profiling.step_clock import BACKWARD, OPTIMIZER, STUDENT, TEACHER, StepClock, student_step, timed_parts
from mmseg_kd.sweep.budget import teachers

ROOT = Path(__file__).resolve().parents[1]
PAGE, TERMS_CSV, OPTIONS_CSV = (
    ROOT / 'docs' / 'benchmarks' / name for name in ('speed.md', 'speed_terms.csv', 'speed_options.csv')
)
SETUPS = ('r101_r18_cityscapes', 'r101_r18_ade20k')
OPTIONS_CONFIG = 'mmseg_kd::kd/pi_r101_r18_cityscapes.py'
OPTIONS: dict[str, dict[str, Any]] = {
    'float32': dict(),
    'fold_batch_norm': dict(fold_batch_norm=True),
    'channels_last': dict(memory_format='channels_last'),
    'fold_batch_norm, channels_last': dict(fold_batch_norm=True, memory_format='channels_last'),
    'bfloat16': dict(dtype='bfloat16'),
    'bfloat16, channels_last': dict(dtype='bfloat16', memory_format='channels_last'),
    'bfloat16, fold_batch_norm, channels_last': dict(
        dtype='bfloat16', fold_batch_norm=True, memory_format='channels_last'
    ),
    'compile': dict(compile=True),
    'bfloat16, compile': dict(dtype='bfloat16', compile=True),
}
ON_GPUS: dict[str, dict[str, Any]] = {
    'compile, cuda_graphs': dict(compile=True, cuda_graphs=True),
    'bfloat16, compile, cuda_graphs': dict(dtype='bfloat16', compile=True, cuda_graphs=True),
}
HEAD, BACKBONE = 'decode_head', 'backbone'
TERM_COLUMNS = ('config', 'classes', 'size', 'terms', 'teacher', 'student', 'floor', 'ratio')
WHOLE, FLOOR, ALONE, DATA = 'step', 'floor', 'terms alone', 'data wait'
STEP_COLUMNS = (
    'config', 'classes', 'size', DATA, TEACHER, STUDENT, 'terms', BACKWARD, OPTIMIZER, WHOLE, FLOOR, 'ratio',
    'lowest', 'highest', 'modelled', 'each',
)  # fmt: skip
OPTION_COLUMNS = ('teacher', 'ms', 'of float32', 'floor of float32', 'error', 'cosine', 'cosine of the term')


class Subject(NamedTuple):
    """A distiller that is trained, its optimizer, and the batches."""

    name: str
    model: Distiller
    optimizer: OptimWrapper
    batches: Iterator[dict]
    has_data: bool
    device: torch.device


def single_terms(setup: str) -> Iterator[tuple[str, Config]]:
    """The configs of ``configs/kd`` with one term."""
    for path in sorted((ROOT / 'configs' / 'kd').glob(f'*_{setup}.py')):
        config = Config.fromfile(path)
        if 'scratch' not in path.name and len(config.model.get('terms') or ()) == 1:
            yield path.name, config


def build(
    name: str,
    config: Config,
    scale: float,
    batch: int,
    device: torch.device,
    known: dict[str, Any] | None = None,
    trained: bool = False,
) -> Subject:
    """The distiller of a config, at the final weights of its terms.

    Args:
        name: The name of the config.
        config: The config; it is changed.
        scale: The factor of the sides of its images.
        batch: The number of images.
        device: The device.
        known: Built teachers by their config, which are used again.
        trained: Whether teachers have the weights of their checkpoints, instead of random ones.
    """
    for spec in teachers(config):
        spec['checkpoint'] = spec['checkpoint'] if trained else None
    network = config.model.student
    network.pretrained = None
    for part in (network, network.get('backbone')):
        if part and part.get('init_cfg'):
            part.init_cfg = None
    preprocessor = network.get('data_preprocessor') or config.data_preprocessor
    size = [max(32, round(side * scale)) for side in preprocessor.size]
    preprocessor.size = tuple(size)
    config.model.setdefault('data_preprocessor', config.get('data_preprocessor'))
    torch.manual_seed(0)
    model = revert_sync_batchnorm(MODELS.build(config.model)).to(device).train()
    known = {} if known is None else known
    for teacher in model.teachers.values():
        for member in teacher.members:
            kind = f'{member.config or member.model_config} {size}'
            if kind not in known:
                known[kind] = revert_sync_batchnorm(member.module)
                if not trained:
                    as_trained(known[kind], size)
            member._module = known[kind]
    for term in model.all_terms.values():
        if term.schedule is not None:
            term.weight = term.schedule(config.train_cfg.max_iters)
    optimizer = build_optim_wrapper(model, config.optim_wrapper)
    loader = None
    if scale == 1:
        try:
            loader = Runner.build_dataloader(dict(config.train_dataloader, batch_size=batch), seed=0)
        except (FileNotFoundError, ValueError):
            pass
    batches = drawn(model.num_classes, batch, size) if loader is None else forever(loader)
    return Subject(name.removesuffix('.py'), model, optimizer, batches, loader is not None, device)


@torch.no_grad()
def as_trained(network: nn.Module, size: Sequence[int]) -> None:
    """Batch statistics of noise and logits of a standard deviation of 3, instead of initial values."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(2, 3, *size, generator=generator)
    norms = [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.normal_(norm.bias, 0, 0.2)
        norm.train()
        norm.momentum = None
    logits = forward_inference(network, images, ['logits'])['logits']
    classifier = getattr(getattr(network, 'decode_head', None), 'conv_seg', None)
    if classifier is not None:
        classifier.weight *= 3 / logits.std()
    network.eval()


def drawn(classes: int, batch: int, size: Sequence[int]) -> Iterator[dict]:
    """One batch of noise, with labels in blocks of 32 pixels, again and again."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (batch, 3, *size), generator=generator, dtype=torch.uint8)
    blocks = torch.randint(0, classes, (batch, 1, *(-(-side // 32) for side in size)), generator=generator)
    labels = F.interpolate(blocks.float(), scale_factor=32, mode='nearest')[:, :, : size[0], : size[1]].long()
    samples = [
        SegDataSample(gt_sem_seg=PixelData(data=label), metainfo=dict(img_shape=tuple(size))) for label in labels
    ]
    while True:
        yield dict(inputs=list(images), data_samples=copy.deepcopy(samples))


def forever(loader: Iterable[dict]) -> Iterator[dict]:
    while True:
        yield from loader


def floor_step(subject: Subject, data: dict) -> None:
    """What cannot be saved: the student's step, and the teacher's values."""
    model = subject.model
    with subject.optimizer.optim_context(model):
        model._teacher_outputs(data['inputs'], data['data_samples'], wanted_paths(model.terms.values()))
    student_step(model, data, subject.optimizer)


class Maps(NamedTuple):
    """What terms read in one batch."""

    student: dict[str, Any]
    teacher: dict[str, Any]
    labels: Tensor


def record(subject: Subject, data: dict, subjects: Sequence[Subject]) -> Maps:
    """The maps of one student and one teacher that the terms of all subjects read."""
    terms = [term for each in subjects for term in each.model.terms.values()]
    with torch.no_grad(), subject.optimizer.optim_context(subject.model):
        outputs = subject.model._teacher_outputs(data['inputs'], data['data_samples'], wanted_paths(terms))
        values = forward_inference(subject.model.student, data['inputs'], student_paths(terms))
    return Maps(values, outputs, torch.stack([sample.gt_sem_seg.data[0] for sample in data['data_samples']]))


def run_terms(model: Distiller, maps: Maps) -> None:
    """The terms of a distiller, forward and backward."""

    def leaf(value: Any) -> Any:
        if isinstance(value, Tensor):
            return value.detach().requires_grad_() if value.is_floating_point() else value
        return tuple(map(leaf, value)) if isinstance(value, (tuple, list)) else value

    leaves = {path: leaf(value) for path, value in maps.student.items()}
    losses = [term(leaves, dict(maps.teacher), maps.labels) for term in model.terms.values()]
    tensor_sum(value for each in losses for value in each.values()).backward()


def measure_terms(subjects: Sequence[Subject], repeats: int) -> list[dict[str, Any]]:
    """Lines of the first table: the terms of distillers that have one student and one teacher, beside their floor.

    The floor is measured once for all, interleaved with the terms.
    """
    first, clock = subjects[0], StepClock(subjects[0].device)
    model, teacher = first.model, first.model.teachers['']
    data = model.data_preprocessor(next(first.batches), True)
    maps = record(first, data, subjects)
    reads = {HEAD: ['logits'], BACKBONE: ['backbone[3]']}
    times: list[dict[str, float]] = []
    for _ in range(repeats + 1):
        clock.run(STUDENT, student_step, model, data, first.optimizer)
        for depth, paths in reads.items():
            clock.run(depth, teacher.read, data['inputs'], paths, model.data_preprocessor)
        for subject in subjects:
            clock.run(subject.name, run_terms, subject.model, maps)
        times.append(clock.take())
    # The first run also allocates and chooses algorithms.
    medians = {name: 1000 * statistics.median(taken[name] for taken in times[1:]) for name in times[0]}
    lines = []
    for subject in subjects:
        paths = wanted_paths(subject.model.terms.values())
        read = medians[BACKBONE if all(path.startswith(BACKBONE) for path in paths) else HEAD]
        floor = medians[STUDENT] + read
        lines.append(
            dict(
                config=subject.name,
                classes=subject.model.num_classes,
                size='x'.join(map(str, subject.model.data_preprocessor.size)),
                terms=medians[subject.name],
                teacher=read,
                student=medians[STUDENT],
                floor=floor,
                ratio=1 + medians[subject.name] / floor,
            )
        )
    return lines


def term_rows(lines: Sequence[dict]) -> str:
    """The first table, sorted by the ratio."""
    rows = [['config', 'classes', 'images', 'term, ms', 'teacher, ms', 'student, ms', 'step / floor']]
    for line in sorted(lines, key=lambda line: (int(line['classes']), float(line['ratio']))):
        numbers = [f'{float(line[name]):.{1 if name == "terms" else 0}f}' for name in ('terms', 'teacher', 'student')]
        rows.append(
            [str(line['config']), str(line['classes']), str(line['size']), *numbers, f'{float(line["ratio"]):.3f}']
        )
    return markdown_table(rows)


def measure_step(subject: Subject, repeats: int) -> dict[str, Any]:
    """A line of the first table: medians in seconds by name, and the ratio of step and floor."""
    model, optimizer, clock = subject.model, subject.optimizer, StepClock(subject.device)
    outer = StepClock(subject.device)
    times: list[dict[str, float]] = []
    maps: Maps | None = None
    for repeat in range(repeats + 1):
        begin = time.perf_counter()
        batch = next(subject.batches)
        taken = {DATA: time.perf_counter() - begin}
        with timed_parts(clock, model, optimizer):
            outer.run(WHOLE, model.train_step, copy.deepcopy(batch), optimizer)
        taken.update(clock.take())
        outer.run(FLOOR, lambda batch=batch: floor_step(subject, model.data_preprocessor(copy.deepcopy(batch), True)))
        if maps is None:
            maps = record(subject, model.data_preprocessor(copy.deepcopy(batch), True), [subject])
        outer.run(ALONE, run_terms, model, maps)
        taken.update(outer.take())
        if repeat:  # the first run also loads, allocates and chooses algorithms
            times.append(taken)
    medians = {name: statistics.median(taken[name] for taken in times) for name in times[0]}
    each = {name: medians[name] for name in model.all_terms}
    ratios = sorted(taken[WHOLE] / taken[FLOOR] for taken in times)
    size = model.data_preprocessor.size
    return dict(
        {name: 1000 * seconds for name, seconds in medians.items() if name not in each},
        config=subject.name,
        classes=model.num_classes,
        size='x'.join(map(str, size)),
        terms=1000 * sum(each.values()),
        ratio=statistics.median(ratios),
        lowest=ratios[len(ratios) // 4],
        highest=ratios[-1 - len(ratios) // 4],
        modelled=1 + medians[ALONE] / medians[FLOOR],
        each=' '.join(f'{name}={1000 * seconds:.2f}' for name, seconds in each.items()),
        **({} if subject.has_data else {DATA: None}),
    )


def step_rows(lines: Sequence[dict]) -> str:
    """The first table."""
    header = ['config', 'images', 'data wait', 'teacher', 'student', 'terms', 'backward', 'optimizer', 'step', 'floor']
    rows = [[*header, 'ratio (quartiles)', '1 + terms / floor']]
    for line in lines:
        numbers = [line[name] for name in (DATA, TEACHER, STUDENT, 'terms', BACKWARD, OPTIMIZER, WHOLE, FLOOR)]
        rows.append(
            [
                str(line['config']),
                str(line['size']),
                *('' if number in (None, '') else f'{float(number):.3g}' for number in numbers),
                f'{float(line["ratio"]):.3f} ({float(line["lowest"]):.3f} to {float(line["highest"]):.3f})',
                f'{float(line["modelled"]):.3f}',
            ]
        )
    return markdown_table(rows)


def measure_options(subject: Subject, repeats: int, options: dict[str, dict] = OPTIONS) -> list[dict[str, Any]]:
    """The lines of the second table: one teacher with several runtime options, interleaved."""
    model, optimizer = subject.model, subject.optimizer
    exact = model.teachers['']
    members = {}
    for name, option in options.items():
        member = FrozenTeacher(model=exact.model_config, **option)
        member._module = copy.deepcopy(exact.module)
        member._module.to(memory_format=member._memory_format)
        members[name] = member
    batch = model.data_preprocessor(next(subject.batches), True)
    paths = wanted_paths(model.terms.values())
    clock = StepClock(subject.device)
    taken: dict[str, list[dict[str, float]]] = {name: [] for name in members}
    alone: list[float] = []
    outputs = {}
    for repeat in range(repeats + 1):
        clock.run(STUDENT, student_step, model, batch, optimizer)
        alone.append(clock.take()[STUDENT])
        for name, member in members.items():
            values = clock.run(name, member.read, batch['inputs'], paths, model.data_preprocessor)
            taken[name].append(clock.take())
            if not repeat:
                outputs[name] = values
    student = statistics.median(alone[1:])
    seconds = {name: statistics.median(each[name] for each in taken[name][1:]) for name in members}
    first = next(iter(members))
    gradients = {name: gradient(subject, batch, values) for name, values in outputs.items()}
    return [
        {
            'teacher': name,
            'ms': 1000 * seconds[name],
            'of float32': seconds[name] / seconds[first],
            'floor of float32': (student + seconds[name]) / (student + seconds[first]),
            'error': output_error(outputs[first], outputs[name]),
            'cosine': cosine(gradients[first][0], gradients[name][0]),
            'cosine of the term': cosine(gradients[first][1], gradients[name][1]),
        }
        for name in members
    ]


def measure_stream(subject: Subject, repeats: int) -> float:
    """The time of a whole step whose teacher has a stream of its own, relative to one without, interleaved."""
    model, clock = subject.model, StepClock(subject.device)
    batch, side = next(subject.batches), SideStream()
    ratios = []
    for _ in range(repeats + 1):
        for name, stream in (('one stream', None), ('two streams', side)):
            model.teachers[''].stream = stream
            clock.run(name, model.train_step, copy.deepcopy(batch), subject.optimizer)
        taken = clock.take()
        ratios.append(taken['two streams'] / taken['one stream'])
    model.teachers[''].stream = None
    return statistics.median(ratios[1:])


def gradient(subject: Subject, data: dict, outputs: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """The student's gradient of all losses, and that of the terms alone, as vectors."""
    model = subject.model
    read = model._read_teachers
    model._read_teachers = lambda *_: outputs
    found = []
    for only in (False, True):
        torch.manual_seed(0)  # dropout
        model.zero_grad(set_to_none=True)
        losses = model.loss(**data)
        if only:
            losses = {name: value for name, value in losses.items() if name in model.all_terms}
        model.parse_losses(losses)[0].backward()
        found.append(torch.cat([p.grad.flatten() for p in model.student.parameters() if p.grad is not None]))
    model._read_teachers = read
    model.zero_grad(set_to_none=True)
    return found[0], found[1]


def cosine(first: Tensor, second: Tensor) -> float:
    return F.cosine_similarity(first.double(), second.double(), dim=0).item()


def option_rows(lines: Sequence[dict]) -> str:
    """The second table."""
    rows = [['teacher', 'ms', 'of float32', 'floor, of that of float32', 'largest error', 'cosine', 'of the term']]
    for line in lines:
        rows.append(
            [
                str(line['teacher']),
                f'{float(line["ms"]):.0f}',
                f'{float(line["of float32"]):.2f}',
                f'{float(line["floor of float32"]):.2f}',
                f'{float(line["error"]):.1g}',
                f'{float(line["cosine"]):.6f}',
                f'{float(line["cosine of the term"]):.6f}',
            ]
        )
    return markdown_table(rows)


def write_csv(path: Path, columns: Sequence[str], lines: Sequence[dict]) -> None:
    with path.open('w', newline='') as file:
        writer = csv.DictWriter(file, columns, lineterminator='\n', extrasaction='ignore')
        writer.writeheader()
        for line in lines:
            writer.writerow({key: f'{value:.6g}' if isinstance(value, float) else value for key, value in line.items()})


def write_page(page: Path, name: str, text: str) -> None:
    """Replace the text between the comments ``<!-- name -->`` and ``<!-- end -->`` of a page."""
    before, mark, rest = page.read_text(encoding='utf-8').partition(f'<!-- {name} -->\n')
    if not mark:
        raise ValueError(f'{page} has no line <!-- {name} -->; add it, and <!-- end --> below')
    page.write_text(f'{before}{mark}\n{text}\n\n<!-- end -->{rest.partition("<!-- end -->")[2]}', encoding='utf-8')


def machine(device: torch.device, threads: int) -> str:
    where = torch.cuda.get_device_name(device) if device.type == 'cuda' else f'{threads} CPU thread(s)'
    return f'torch {torch.__version__}, {where}'


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('configs', nargs='*', help='configs of distillers to measure')
    parser.add_argument('--all', action='store_true', help='--terms and --options')
    parser.add_argument(
        '--terms', action='store_true', help='compare the terms of all configs of configs/kd with one term to the floor'
    )
    parser.add_argument('--options', action='store_true', help='compare the options of the teacher')
    parser.add_argument('--trained', action='store_true', help='load the checkpoints of the teachers')
    parser.add_argument('--scale', type=float, default=0.25, help="factor of the sides of the config's images")
    parser.add_argument('--batch', type=int, default=2, help='number of images')
    parser.add_argument('--repeats', type=int, default=5, help='number of steps, whose median counts')
    parser.add_argument('--threads', type=int, default=1, help='number of threads on a CPU')
    parser.add_argument('--device', default='cpu', help='cpu or cuda')
    args = parser.parse_args(arguments)
    if not (args.configs or args.all or args.terms or args.options):
        parser.error('give configs, or --all')
    torch.set_num_threads(args.threads)
    init_default_scope('mmseg')
    MMLogger.get_current_instance().setLevel('ERROR')
    device = torch.device(args.device)
    where = f'{machine(device, args.threads)}, batch {args.batch}, {args.repeats} repeats.'
    print(where, flush=True)
    settings = args.scale, args.batch, device
    if args.configs and not args.options:
        lines = []
        for name in args.configs:
            config = Config.fromfile(config_file(name))
            subject = build(name.rpartition('/')[2], config, *settings, trained=args.trained)
            lines.append(measure_step(subject, args.repeats))
        print(step_rows(lines))
    if args.all or args.terms:
        lines = []
        for setup in SETUPS:
            known: dict[str, Any] = {}
            subjects = [build(name, config, *settings, known) for name, config in single_terms(setup)]
            lines += measure_terms(subjects, args.repeats)
            print(term_rows(lines), flush=True)
            write_csv(TERMS_CSV, TERM_COLUMNS, lines)
            write_page(PAGE, 'terms', f'{where}\n\n{term_rows(lines)}')
    if args.all or args.options:
        name = args.configs[0] if args.configs else OPTIONS_CONFIG
        subject = build(name, Config.fromfile(config_file(name)), *settings, trained=args.trained)
        on_gpu = device.type == 'cuda'
        options = measure_options(subject, args.repeats, {**OPTIONS, **(ON_GPUS if on_gpu else {})})
        print(option_rows(options), flush=True)
        if on_gpu:
            print(f'own_stream: {measure_stream(subject, args.repeats):.3f} of the time of a whole step', flush=True)
        if not args.configs:
            write_csv(OPTIONS_CSV, OPTION_COLUMNS, options)
            write_page(PAGE, 'options', f'{where}\n\n{option_rows(options)}')


if __name__ == '__main__':
    main()
