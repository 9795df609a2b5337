"""Time and memory of each loss and of its textbook form, at the sizes of Cityscapes (stride 8, crops of 512 x 1024).

The loss, its textbook form and a softmax-KL of the logits are interleaved in one process, forward and backward. Loss
and textbook form must give the same value. Time is processor time. Memory is what PyTorch allocates in addition to
existing tensors: *kept* between the forward and the backward pass, and the *peak* of both, with gradients. The
objective of an auxiliary module is included. A note marks rows of other sizes.

    python benchmarks/losses.py --batch 4 --repeats 3 --threads 1 --csv losses.csv
"""

import argparse
import copy
import csv
import functools
import gc
import itertools
import os
import statistics
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import textbook
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmseg_kd import losses
from mmseg_kd.losses.base import Maps

COLUMNS = (
    'loss',
    'ms',
    'textbook_ms',
    'kl_ms',
    'kept_mib',
    'textbook_kept_mib',
    'peak_mib',
    'textbook_peak_mib',
    'note',
)


class Sizes(NamedTuple):
    """Numbers of channels and pixels. Losses whose textbook form is expensive use the small ones."""

    batch: int = 4
    classes: int = 19
    height: int = 64
    width: int = 128
    stride: int = 8
    channels: int = 512
    few: int = 128
    small_channels: int = 256
    small_height: int = 32
    small_width: int = 64

    def map(self, channels: int, scale: int = 1) -> Tensor:
        return torch.randn(self.batch, channels, self.height * scale, self.width * scale)

    def small_map(self, channels: int) -> Tensor:
        return torch.randn(self.batch, channels, self.small_height, self.small_width)

    def labels(self, height: int, width: int) -> Tensor:
        """Blocks of random classes, 8 x 16 per image; the upper row is ignored."""
        blocks = torch.randint(0, self.classes, (self.batch, 1, 8, 16)).float()
        blocks[:, :, 0] = 255
        return F.interpolate(blocks, size=(height, width), mode='nearest')[:, 0].long()


def logits(sizes: Sizes) -> tuple:
    return sizes.map(sizes.classes), sizes.map(sizes.classes)


def logits_and_full_labels(sizes: Sizes) -> tuple:
    return (*logits(sizes), sizes.labels(sizes.height * sizes.stride, sizes.width * sizes.stride))


def logits_and_images(sizes: Sizes) -> tuple:
    student, teacher = logits(sizes)
    return (student, sizes.map(3, scale=sizes.stride)), teacher


def features(sizes: Sizes) -> tuple:
    return sizes.map(sizes.channels), sizes.map(sizes.channels)


def few_features(sizes: Sizes) -> tuple:
    return sizes.map(sizes.few), sizes.map(sizes.few)


def unequal_features(sizes: Sizes) -> tuple:
    return sizes.map(sizes.few), sizes.map(sizes.channels)


def small_features(sizes: Sizes) -> tuple:
    return sizes.small_map(sizes.small_channels), sizes.small_map(sizes.small_channels)


def small_unequal_features(sizes: Sizes) -> tuple:
    return sizes.small_map(sizes.few), sizes.small_map(sizes.small_channels)


def layers(sizes: Sizes) -> tuple:
    """Auxiliary logits, input of the classifier and logits of each network."""
    return tuple(tuple(sizes.map(c) for c in (sizes.classes, sizes.channels, sizes.classes)) for _ in range(2))


def stages(sizes: Sizes) -> tuple:
    """The four stages of a student, the first at twice the size; nothing from the teacher."""
    first, *deeper = (sizes.channels // part for part in (8, 4, 2, 1))
    return (sizes.map(first, scale=2), *map(sizes.map, deeper)), ()


def classifier(sizes: Sizes) -> tuple:
    weight, bias = 0.05 * torch.randn(sizes.classes, sizes.channels, 1, 1), torch.randn(sizes.classes)
    return (sizes.map(sizes.channels), weight, bias), sizes.map(sizes.classes)


class Row(NamedTuple):
    """A loss to measure. The textbook form gets the ``parts`` of the loss; ``note`` names other sizes."""

    loss: Callable[[], losses.DistillLoss]
    textbook: Callable[..., Tensor] | None
    inputs: Callable[[Sizes], tuple]
    parts: Sequence[str] = ()
    note: str = ''

    @property
    def name(self) -> str:
        return self.loss.__name__


SMALL = '{small_channels} channels at {small_height} x {small_width}'
WRITTEN = (
    Row(losses.ACELoss, textbook.adaptive_cross_entropy, logits),
    Row(losses.AfDCDLoss, textbook.dense_contrastive, few_features, ['generator'], '{few} channels'),
    Row(losses.APDContextLoss, textbook.perspective_context, features),
    Row(losses.APDLoss, textbook.adaptive_perspective, features, ['critic']),
    Row(losses.APDPrototypeLoss, textbook.perspective_prototype, features),
    Row(losses.AttentionTransferLoss, textbook.attention_transfer, features),
    Row(losses.AttentionTransferNormLoss, textbook.attention_transfer_norm, features),
    Row(losses.AttnFDLoss, textbook.attention_guided, features, ['refiners']),
    Row(losses.BPKDLoss, textbook.boundary_privileged, logits_and_full_labels, note='labels at full resolution'),
    Row(losses.ChannelFAKDLoss, textbook.channel_feature_augmented, classifier, ['statistics']),
    Row(losses.CIRKDChannelLoss, textbook.channel_memory, small_features, ['head', 'memory'], SMALL),
    Row(losses.CIRKDMemoryLoss, textbook.memory, small_features, ['head', 'pixels', 'regions'], SMALL),
    Row(losses.CIRKDMiniBatchLoss, textbook.mini_batch, small_features, note=SMALL),
    Row(losses.ConsistencyKDLoss, textbook.consistency, logits),
    Row(losses.CosineDSDCategorySimilarityLoss, textbook.cosine_category_similarity, logits),
    Row(losses.CosineFeatureLoss, textbook.cosine_feature, features),
    Row(losses.CSCLoss, textbook.channel_and_spatial, features),
    Row(losses.CWDLoss, textbook.channel_wise, logits),
    Row(losses.CWDLoss, textbook.channel_wise, features, note='on features'),
    Row(losses.DISTLoss, textbook.stronger_teacher, logits),
    Row(losses.DKDLoss, textbook.decoupled, logits),
    Row(losses.DSDCategorySimilarityLoss, textbook.category_similarity, logits),
    Row(
        losses.DSDPixelSimilarityLoss,
        textbook.pixel_similarity,
        layers,
        note='{classes}, {channels} and {classes} channels',
    ),
    Row(losses.FAKDLoss, textbook.feature_augmented, classifier, ['statistics']),
    Row(
        losses.HalfMapPairWiseKDLoss,
        textbook.half_map_pair_wise,
        unequal_features,
        note='{few} and {channels} channels',
    ),
    Row(losses.HingeHolisticKDLoss, textbook.hinge_holistic, logits_and_images, ['critic']),
    Row(losses.HintLoss, textbook.hint, features),
    Row(losses.HolisticKDLoss, textbook.holistic, logits_and_images, ['critic']),
    Row(losses.IDDInterClassDistanceLoss, textbook.inter_class_distance, features),
    Row(losses.IDDPositionLoss, textbook.position, features, ['critic']),
    Row(losses.IFVDLoss, textbook.intra_class, features),
    Row(losses.ImageSemanticLoss, textbook.image_semantic, logits),
    Row(losses.KAAdaptationLoss, textbook.knowledge_adaptation, features),
    Row(losses.KAAffinityLoss, textbook.knowledge_affinity, unequal_features, note='{few} and {channels} channels'),
    Row(
        losses.KATranslatorLoss,
        textbook.translator,
        small_unequal_features,
        ['critic', 'adapters'],
        '{few} and ' + SMALL,
    ),
    Row(losses.MaskedGenerativeLoss, textbook.masked_generative, few_features, ['generator'], '{few} channels'),
    Row(losses.MaxPairWiseKDLoss, textbook.max_pair_wise, unequal_features, note='{few} and {channels} channels'),
    Row(losses.PairWiseKDLoss, textbook.pair_wise, unequal_features, note='{few} and {channels} channels'),
    Row(losses.PairWiseKDLoss, textbook.pair_wise, few_features, note='{few} channels'),
    Row(losses.PixelWiseKDLoss, textbook.pixel_wise, logits),
    Row(losses.ProbabilityMSELoss, textbook.probability_mse, logits),
    Row(
        losses.ProjectedCosineLoss,
        textbook.projected_cosine,
        unequal_features,
        ['projections'],
        '{few} and {channels} channels',
    ),
    Row(losses.PseudoLabelLoss, textbook.pseudo_label, logits),
    Row(losses.RawHolisticKDLoss, textbook.raw_holistic, logits, ['critic']),
    Row(losses.RegionContentLoss, textbook.region_content, unequal_features, note='{few} and {channels} channels'),
    Row(losses.SALCAttentionLoss, textbook.long_range_attention, features),
    Row(losses.SALCContextLoss, textbook.layer_wise_context, stages, note='stages of up to {channels} channels'),
    Row(losses.SSTKDStatisticalTextureLoss, textbook.statistical_texture, features),
    Row(losses.SSTKDStructuralTextureLoss, textbook.structural_texture, features),
    Row(losses.StandardizedKDLoss, textbook.standardized, logits),
    Row(losses.StrayCIRKDMemoryLoss, textbook.stray_memory, small_features, ['head', 'pixels', 'regions'], SMALL),
    Row(losses.SummedPixelWiseKDLoss, textbook.summed_pixel_wise, logits),
)
# A loss without a textbook form is compared with itself.
NAMED = {row.name for row in WRITTEN} | {'AdversarialLoss', 'DistillLoss', 'HolisticCritic'}
OTHERS = (
    Row(getattr(losses, name), None, features, note='no textbook form') for name in losses.__all__ if name not in NAMED
)
ROWS = tuple(sorted([*WRITTEN, *OTHERS], key=lambda row: row.name.lower()))


class Form(NamedTuple):
    """A function of student, teacher and perhaps labels, its inputs, and its own trainable parameters."""

    function: Callable[..., Tensor]
    inputs: tuple
    parameters: list[nn.Parameter]

    def ready(self) -> tuple:
        """Arguments of the function, without gradients and with a fresh seed."""
        for parameter in self.parameters:
            parameter.grad = None
        student = fresh_leaves(self.inputs[0])
        torch.manual_seed(0)
        return student, *self.inputs[1:]


def fresh_leaves(maps: Maps) -> Maps:
    return maps.clone().requires_grad_() if isinstance(maps, Tensor) else tuple(map(fresh_leaves, maps))


def objective(loss: losses.DistillLoss, *inputs: tuple) -> Tensor:
    """The objective of a training step, with that of the auxiliary module."""
    value = loss(*inputs)
    return value + loss.critic_loss(*inputs) if isinstance(loss, losses.AdversarialLoss) else value


def build(row: Row, sizes: Sizes) -> tuple[Form, Form]:
    """A loss and its textbook form on the same inputs; networks and memories are copies."""
    torch.manual_seed(0)
    inputs = row.inputs(sizes)
    loss = row.loss()
    loss.classes = sizes.classes
    loss.setup(*inputs[:2])
    if loss.needs_labels and len(inputs) == 2:
        inputs = *inputs, sizes.labels(*inputs[1].shape[2:])
    # In training mode, each pass would change the spectral norm, and the two forms make different numbers of passes.
    loss.train(not isinstance(loss, losses.HolisticKDLoss))
    twin = copy.deepcopy(loss)
    if row.textbook is None:
        naive = functools.partial(objective, twin)
    else:
        naive = functools.partial(row.textbook, **{part: getattr(twin, part) for part in row.parts})
    return (
        Form(functools.partial(objective, loss), inputs, list(loss.parameters())),
        Form(naive, inputs, list(twin.parameters())),
    )


def softmax_kl(student: Tensor, teacher: Tensor) -> Tensor:
    return F.kl_div(student.log_softmax(1), teacher.softmax(1), reduction='sum') * student.shape[1] / student.numel()


def seconds(form: Form) -> float:
    inputs = form.ready()
    start = time.process_time()
    form.function(*inputs).backward()
    return time.process_time() - start


def allocated(function: Callable[..., object], inputs: tuple) -> tuple[float, float]:
    """Mebibytes that a call keeps allocated while its result exists, and the peak of its allocations.

    All events of PyTorch's allocator count, also those within operators. Memory that other libraries allocate does not.
    """
    gc.collect()  # otherwise garbage of earlier calls may be released, and counted, within this one
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profiler:
        result = function(*inputs)
        gc.collect()
    events = [event for event in profiler.profiler.kineto_results.events() if event.name() == '[memory]']
    events.sort(key=lambda event: event.start_ns())
    totals = list(itertools.accumulate((event.nbytes() for event in events), initial=0))
    del result
    return totals[-1] / 2**20, max(totals) / 2**20


def measure(row: Row, sizes: Sizes, repeats: int) -> dict:
    """One line of the table, by the names of ``COLUMNS``."""
    ours, theirs = build(row, sizes)
    values = [form.function(*form.ready()).item() for form in (ours, theirs)]
    if not abs(values[0] - values[1]) <= 1e-4 * abs(values[1]) + 1e-7:
        raise ValueError(f'{row.name} must equal its textbook form, but they are {values[0]} and {values[1]}')
    kept = [allocated(form.function, form.ready())[0] for form in (ours, theirs)]
    peak = [allocated(lambda *x, f=form.function: f(*x).backward(), form.ready())[1] for form in (ours, theirs)]
    divergence, times = Form(softmax_kl, logits(sizes), []), []
    while len(times) < repeats or (len(times) < 20 and sum(map(sum, times)) < 1):
        # A time of a few milliseconds depends on what ran before.
        times.append([seconds(ours), seconds(theirs), statistics.median(seconds(divergence) for _ in range(5))])
    numbers = [*(1000 * statistics.median(taken) for taken in zip(*times)), *kept, *peak]
    return dict(zip(COLUMNS, [row.name, *(f'{x:.3f}' for x in numbers), row.note.format(**sizes._asdict())]))


def share(mine: float, textbook: float) -> str:
    return f'{mine / textbook:.2f}' if textbook else 'of 0'


def table_line(line: dict) -> str:
    """One row of the Markdown table, from a row of the CSV file."""
    values = {name: float(x) for name, x in line.items() if name not in ('loss', 'note')}
    name = line['loss'] + (f' ({line["note"]})' if line['note'] else '')
    times = f'{values["ms"]:.1f} | {values["ms"] / values["textbook_ms"]:.3f} | {values["ms"] / values["kl_ms"]:.1f}'
    memory = ' | '.join(
        f'{values[f"{x}_mib"]:.1f} ({share(values[f"{x}_mib"], values[f"textbook_{x}_mib"])})' for x in ('kept', 'peak')
    )
    return f'| {name} | {times} | {memory} |'


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--batch', type=int, default=4, help='batch size')
    parser.add_argument('--repeats', type=int, default=5, help='minimal number of runs, whose median counts')
    parser.add_argument('--threads', type=int, default=1, help='number of threads')
    names = sorted({row.name for row in ROWS})
    parser.add_argument('--only', nargs='+', metavar='NAME', choices=names, help='losses to measure; all by default')
    parser.add_argument('--csv', metavar='PATH', help='CSV file to write')
    args = parser.parse_args(arguments)
    torch.set_num_threads(args.threads)
    os.environ.setdefault('KINETO_LOG_LEVEL', '99')  # otherwise the profiler logs every start and stop
    sizes = Sizes(batch=args.batch)
    print(
        f'torch {torch.__version__}, {args.threads} thread(s), batch {sizes.batch}, {sizes.height} x {sizes.width}, '
        'float32\n'
    )
    print('| loss | ms | of textbook | of softmax-KL | kept MiB (of textbook) | peak MiB (of textbook) |')
    print('|---|---|---|---|---|---|', flush=True)
    with open(args.csv or os.devnull, 'w', newline='') as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator='\n')
        writer.writeheader()
        for row in ROWS:
            if not args.only or row.name in args.only:
                line = measure(row, sizes, args.repeats)
                print(table_line(line), flush=True)
                writer.writerow(line)
                file.flush()


if __name__ == '__main__':
    main()
