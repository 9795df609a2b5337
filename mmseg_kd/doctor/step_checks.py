"""Checks of one training step: every loss counts, its gradient reaches the student, and no parameter is unused."""

import copy
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.dist import is_distributed
from mmengine.evaluator import Evaluator
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmseg.models.segmentors import BaseSegmentor
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.utils.data import DataLoader

from ..constants import UNKNOWN_INDEX
from ..datasets.even_subset import even_subset
from ..distillers import Distiller, LabelingDistiller, Term
from ..distillers.labels import check_no_unknown, fill_unknown
from ..distillers.schedules import level_at
from ..distillers.teacher import ORIGINAL, Teacher
from ..engine.checks import check_metrics
from ..engine.metric_names import MetricNames, metric_names
from ..engine.optim.distill_optim_wrapper_constructor import critic_parameters
from ..io.progress import duration
from ..losses.ops import tensor_sum
from .diagnosis import Reporter
from .loss_parts import OWN, Part, gradient_shares, labeled_part, losses_of, preprocess, read_parts, terms_of
from .step_cost import iterations

BATCHES = 3  # number of batches on which a gradient is searched
NAMED = 3  # number of parameters in a message
VOID, UNKNOWN = 'LoadVoidAnnotations', 'LoadUnknownAnnotations'
LABELS = {'gt_sem_seg', 'gt_edge_map'}  # what a LabelingDistiller fills or ignores
WEAK, DOMINANT = 0.001, 0.99  # shares of a term in the gradient norms


def check_model(report: Reporter, config: Config, device: str, teachers: dict[str, Teacher] | None) -> nn.Module:
    """Build the model with its initial weights.

    Args:
        report: receiver of findings.
        config: training config.
        device: device of the model.
        teachers: loaded teachers, which the model uses instead of loading its own.
    """
    model = copy.deepcopy(config.model)
    key = 'model.student' if 'student' in model else 'model'
    if config.get('data_preprocessor') is not None:
        model.setdefault('data_preprocessor', config.data_preprocessor)
    model = MODELS.build(model)
    try:
        model.init_weights()
    except OSError as error:
        report.failed(f'the initial weights cannot be loaded: {error}; see pretrained and init_cfg in {key}')
    if not isinstance(model, Distiller):
        if report.clean:
            report.ok(f'{type(model).__name__}, built and initialized')
        return model.to(device)
    # A teacher with a cache stays the model's own, which has a network if mixtures of images need it.
    model.teachers.update({name: teacher for name, teacher in (teachers or {}).items() if teacher.members})
    adapted = [
        f'{name}: {type(adapter).__name__} from {s[1]} to {t[1]} channels'
        for name, term in model.all_terms.items()
        for adapter, s, t in zip(term.adapters, term.student_shapes, term.teacher_shapes)
        if not isinstance(adapter, nn.Identity)
    ]
    number = f'{len(model.all_terms)} term{"s" if len(model.all_terms) > 1 else ""}'
    if report.clean:
        report.ok(f'built and initialized, with {number}{"; adapters: " if adapted else ""}{", ".join(adapted)}')
    return model.to(device)


def check_optimizer(report: Reporter, config: Config, model: nn.Module) -> OptimWrapper:
    """Build the optimizers.

    Raises:
        ValueError: if the student's optimizer would train a discriminator.
    """
    if config.get('optim_wrapper') is None:
        raise ValueError('there is no optim_wrapper; add one to the config')
    wrapper = build_optim_wrapper(model, config.optim_wrapper)
    separate = hasattr(wrapper, 'optim_wrappers')
    if critic_parameters(model) and not separate:
        raise ValueError(
            'model.terms has an auxiliary module, which needs its own optimizer; set '
            "optim_wrapper.constructor='DistillOptimWrapperConstructor' and optim_wrapper.critic"
        )
    optimizers = [w.optimizer for w in wrapper.optim_wrappers.values()] if separate else [wrapper.optimizer]
    report.ok(
        f'{type(wrapper).__name__} with '
        + ' and '.join(f'{type(each).__name__} (learning rate {each.param_groups[0]["lr"]:g})' for each in optimizers)
    )
    return wrapper


def check_batch(
    report: Reporter, model: nn.Module, loader: DataLoader, num_classes: int, ignore_index: int
) -> tuple[dict, float]:
    """Load a batch as in training, and check its preprocessed images and labels.

    Returns:
        tuple: the batch before preprocessing, and the seconds to load one.

    Raises:
        ValueError: if images are not finite or labels are invalid. On a GPU, such labels would break later checks.
    """
    batches = iter(loader)
    batch = next(batches)
    begin = time.monotonic()
    batch = next(batches, batch)
    seconds = time.monotonic() - begin
    data = labeled_part(preprocess(model, batch))
    inputs = data['inputs'].float()
    if not torch.isfinite(inputs).all():
        raise ValueError(
            'the images of a batch must be finite, but are not; check data_preprocessor.mean and std, and '
            'train_dataloader.dataset.pipeline'
        )
    labels = torch.stack([sample.gt_sem_seg.data[0] for sample in data['data_samples']])
    known = labels[labels != ignore_index]
    ignored = f'labels {100 - 100 * known.numel() / labels.numel():.0f} % ignored'
    if isinstance(model, LabelingDistiller):
        unknown = (known == UNKNOWN_INDEX).sum().item()
        ignored += f', {100 * unknown / labels.numel():.0f} % left to the teacher' if unknown else ''
        known = known[known != UNKNOWN_INDEX]
    check_no_unknown(known, num_classes, type(model).__name__)
    if known.numel() and (known.min() < 0 or known.max() >= num_classes):
        raise ValueError(
            f'labels of a batch must lie in 0..{num_classes - 1} or be {ignore_index} (ignored), but lie in '
            f'{known.min()}..{known.max()}; check reduce_zero_label and pipeline of '
            'train_dataloader.dataset, or num_classes of the heads'
        )
    mean, std = inputs.mean().item(), inputs.std().item()
    original = getattr(data['data_samples'][0], ORIGINAL, None)
    shown = '' if original is None else f' ({"x".join(map(str, original.shape))} pixels of the file for the teacher)'
    text = (
        f'{"x".join(map(str, inputs.shape))}{shown}, mean {mean:.2f}, std {std:.2f}; {ignored}; {seconds:.2f} s to load'
    )
    if abs(mean) > 10 or std > 10 or std < 0.05:
        report.warning(
            f'{text}; images should have a mean near 0 and a std near 1: check mean and std of data_preprocessor'
        )
    else:
        report.ok(text)
    return batch, seconds


def check_losses(report: Reporter, config: Config, model: nn.Module, loader: DataLoader, batch: dict) -> list[Part]:
    """Check the value and the gradient of every loss with respect to the student; one line for each term.

    A term with a schedule is checked at its largest weight. A term without a gradient on the first batch is checked on
    further batches.
    """
    terms = terms_of(model)
    _raise_weights(terms, iterations(config, loader))
    problems: dict[str, str] = {}
    with _watched(terms, problems):
        parts = read_parts(model, batch)
        batches = iter(loader)
        for _ in range(BATCHES - 1):
            if all(part.gradient != 0 or not part.connected for part in parts.values()):
                break
            for name, part in read_parts(model, next(batches, batch)).items():
                parts[name] = part if parts[name].gradient == 0 else parts[name]
    own = [part for name, part in parts.items() if name.removesuffix('_critic') not in terms]
    for part in own:
        if not math.isfinite(part.value) or not math.isfinite(part.gradient):
            report.failed(
                f'{part.name} is {part.value:g}, with a gradient of {part.gradient:g}; check data_preprocessor, '
                'the labels, and init_cfg or pretrained of the student'
            )
    if report.clean:
        report.ok(', '.join(f'{part.name} {part.value:.3g}' for part in own if part.name != OWN))
    shares = gradient_shares(list(parts.values()))
    for name, term in terms.items():
        _report_term(
            report, term, parts.get(name), shares.get(name, 0.0), problems.get(name, ''), any(p.gradient for p in own)
        )
    return list(parts.values())


def check_unlabeled(report: Reporter, config: Config, model: nn.Module, loader: DataLoader, ignore_index: int) -> None:
    """Check what learns from images without labels.

    Heads that predict boundaries, the classes of an image or masks of objects take ignored pixels for pixels without
    boundaries, classes or objects. So no loss of the student may learn from an image of ignored pixels. Terms that need
    labels have nothing to learn there. If the teacher labels these images, only maps that a transform made from unknown
    labels are in doubt. Where no image is loaded without labels, nothing is checked.
    """
    if not any(name in str(config.get('train_dataloader')) for name in (VOID, UNKNOWN)):
        return
    dataset: Any = loader.dataset
    for index in (len(dataset) - 1, 0):  # where others are joined to labeled images
        sample = dataset[index]
        labels = sample['data_samples'].gt_sem_seg.data
        if ((labels == ignore_index) | (labels == UNKNOWN_INDEX)).all():
            break
    else:
        report.skipped('neither the first nor the last image of train_dataloader.dataset is one without labels')
        return
    teacher_labels = isinstance(model, LabelingDistiller) and bool((labels == UNKNOWN_INDEX).any())
    made = {name for name in sample['data_samples'].keys() if name.startswith('gt_')} - LABELS
    if teacher_labels and not made:
        report.ok("the student learns the teacher's classes from images without labels")
        return
    void = dict(sample, data_samples=fill_unknown(sample['data_samples'], ignore_index))
    parts = read_parts(model, loader.collate_fn([void, void]))
    terms = terms_of(model)
    own = [part for name, part in parts.items() if name.removesuffix('_critic') not in terms]
    taught = [part for part in own if part.gradient and part.name != OWN]
    for part in taught:
        report.failed(
            f'{part.name} is {part.value:.3g} on images of ignored pixels, so it would learn from pixels without '
            'labels; take a student whose losses ignore these pixels, remove that loss, or leave the unlabeled images '
            'out'
        )
    # A share of the gradient that was not measured yet has the weight 0, and tells nothing.
    judged = [name for name, term in terms.items() if term.active and term.weight and name in parts]
    blind = [name for name in judged if not parts[name].gradient]
    if teacher_labels:
        if not taught:
            report.ok(
                "the student learns the teacher's classes from images without labels, and not "
                f'{", ".join(sorted(made))}'
            )
    elif blind and len(blind) == len(terms):
        report.failed(
            f'no term learns from images without labels, because the losses of {" and ".join(blind)} read labels; add '
            'a term that needs none, such as cwd_tuned, or let the teacher label them (LabelingDistiller)'
        )
    elif blind:
        report.warning(f'the losses of {" and ".join(blind)} read labels, so they learn from labeled images only')
    elif not taught:
        report.ok("only terms learn from images without labels; the student's own losses are 0 there")


def check_unused(report: Reporter, config: Config, model: nn.Module, batch: dict, distributed: bool) -> None:
    """Check that every trained parameter gets a gradient, also while the weight of a scheduled term is 0.

    Args:
        report: receiver of findings.
        config: training config.
        model: segmentor or distiller.
        batch: batch before preprocessing.
        distributed: whether the training has several processes, where DDP waits for every gradient.
    """
    unused = _unreached(model, batch)
    scheduled = {term: term.level for term in terms_of(model).values() if term.schedule is not None}
    if scheduled:
        for term in scheduled:
            term.level = 0.0
        unused = list(dict.fromkeys(unused + _unreached(model, batch)))
        for term, level in scheduled.items():
            term.level = level
    parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if not unused:
        report.ok(f'none: each of {len(parameters)} trained tensors gets a gradient')
        return
    size = sum(parameters[name].numel() for name in unused)
    text = (
        f'{len(unused)} of {len(parameters)} trained tensors ({size:,} numbers) get no gradient: '
        f'{", ".join(f"model.{name}" for name in unused[:NAMED])}{", ..." if len(unused) > NAMED else ""}'
    )
    wrapper = config.get('model_wrapper_cfg') or {}
    if wrapper.get('find_unused_parameters', config.get('find_unused_parameters', False)):
        report.warning(f'{text}; DDP skips them because of find_unused_parameters=True, at some cost')
        return
    remedy = 'remove or freeze them, use them in a term, or set find_unused_parameters=True in the config'
    if distributed:
        report.failed(f'{text}; DDP would stop or hang: {remedy}')
    else:
        report.warning(f'{text}; with several processes DDP would stop or hang: {remedy}')


def check_validation(report: Reporter, config: Config, model: BaseSegmentor, loader: DataLoader) -> None:
    """Predict and evaluate one batch, so that the first validation does not stop the run."""
    batch = next(iter(loader))
    dataset: BaseDataset = loader.dataset
    model.eval()
    begin = time.monotonic()
    with torch.no_grad():
        predicted = model.val_step(copy.deepcopy(batch))
    seconds = (time.monotonic() - begin) / len(predicted) * len(dataset)
    metrics = copy.deepcopy(config.val_evaluator)
    for metric in metrics if isinstance(metrics, (list, tuple)) else [metrics]:
        metric.pop('output_dir', None)
    evaluator = Evaluator(metrics)
    evaluator.dataset_meta = dataset.metainfo
    evaluator.process(predicted, batch)
    # With several processes, results would be shared through a folder.
    if not is_distributed():
        found = evaluator.evaluate(len(predicted))
        # check_settings knows the names of other metrics.
        if not metric_names(config).complete:
            for text in check_metrics(config, MetricNames(list(found), True)).refusals:
                report.failed(text)
    if report.clean:
        report.ok(f'one batch predicted and evaluated; {len(dataset)} images take about {duration(seconds)} here')


def _raise_weights(terms: dict[str, Term], total: int) -> None:
    """Set the largest weight, or share of the gradient, of every term with a schedule."""
    for term in terms.values():
        if term.schedule is not None:
            moments = even_subset(max(total, 1), 1000)
            term.level = max((level_at(term.schedule, int(moment), total) for moment in moments), key=abs)
    shared = [term for term in terms.values() if term.by_share]
    excess = sum(term.level for term in shared) / 0.99
    if excess > 1:  # of shares that are large at different times
        for term in shared:
            term.level /= excess


@contextmanager
def _watched(terms: dict[str, Term], problems: dict[str, str]) -> Iterator[None]:
    """Record the terms whose loss receives maps that are not finite."""

    def watch(name: str, term: Term) -> Any:

        def look(_: nn.Module, args: tuple) -> None:
            for side, paths, maps in zip(('student', 'teacher'), (term.student, term.teacher), args):
                if not all(torch.isfinite(m).all() for m in ((maps,) if isinstance(maps, Tensor) else maps)):
                    problems.setdefault(name, f'its input from the {side} ({paths}) is not finite either')

        return term.loss.register_forward_pre_hook(look)

    handles = [watch(name, term) for name, term in terms.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _report_term(
    report: Reporter, term: Term, part: Part | None, share: float, problem: str, student_learns: bool
) -> None:
    key = term.key
    if part is None:
        report.failed(f'{key}: the model has no loss with this name')
    elif not term.active and term.schedule is not None:
        report.failed(
            f'{key}.weight is 0 from the first to the last iteration; change its {type(term.schedule).__name__}'
        )
    elif not term.active:
        report.warning(f'{key}.weight is 0, so the term has no effect')
    elif not math.isfinite(part.value) or not math.isfinite(part.gradient):
        what = f'is {part.value:g}' if not math.isfinite(part.value) else f'has a gradient of {part.gradient:g}'
        report.failed(f'{key} {what}; {problem or f"its inputs are finite, so check weight and loss of {key}"}')
    elif not part.connected:
        report.failed(
            f'{key}.student ({term.student}) does not depend on any trained parameter of the student, so '
            'the term has no effect; read the output of a trained module, such as backbone[3] or logits'
        )
    elif part.gradient == 0 and part.value == 0:
        report.warning(
            f'{key} is 0 in {BATCHES} batches, and so is its gradient; check whether its labels or masks '
            f'select any pixel, or change {key}.loss'
        )
    elif part.gradient == 0:
        report.failed(
            f'{key} is {part.value:.3g}, but no gradient reaches the student; {key}.loss stops it (by detach, '
            'argmax or rounding); use another loss'
        )
    else:
        text = f'{term.name} {part.value:.3g}, {100 * share:.2g} % of the gradient norms'
        if share < WEAK:
            report.warning(f'{text}: it has almost no effect; raise {key}.weight ({term.weight:g})')
        elif share > DOMINANT and student_learns:
            report.warning(f'{text}: other losses have almost no effect; lower {key}.weight ({term.weight:g})')
        else:
            report.ok(text)


def _unreached(model: nn.Module, batch: dict) -> list[str]:
    model.train()
    model.zero_grad(set_to_none=True)
    tensor_sum(losses_of(model, batch).values()).backward()
    names = [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
    model.zero_grad(set_to_none=True)
    return names
