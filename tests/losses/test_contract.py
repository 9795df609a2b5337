"""What must hold for every loss of the package, those that come later included."""

import copy
from collections import Counter

import pytest
import torch
import torch.distributed as dist
from fork_server import run_ranks
from loss_examples import (
    LABELED,
    LOSSES,
    NO_KNOWN_MINIMUM,
    ROUND_TO_CLASSES,
    WITHOUT_TEACHER,
    build,
    evaluate,
    example,
    objective,
)
from mmengine.registry import init_default_scope
from reference import labels, maps
from torch._subclasses.fake_tensor import FakeCopyMode, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

import mmseg_kd.losses
from mmseg_kd.distillers.ranks import TermDenominators
from mmseg_kd.losses import (
    AdversarialLoss,
    APDContextLoss,
    APDLoss,
    APDPrototypeLoss,
    AttnFDLoss,
    BPKDLoss,
    ChannelFAKDLoss,
    CIRKDChannelLoss,
    CIRKDMiniBatchLoss,
    DISTLoss,
    HalfMapPairWiseKDLoss,
    IDDInterClassDistanceLoss,
    PseudoLabelLoss,
    SSTKDStatisticalTextureLoss,
    SummedPixelWiseKDLoss,
)
from mmseg_kd.losses.class_statistics import ClassStatistics
from mmseg_kd.losses.memory_queue import MemoryQueue

# Reads more of large labels than their samples.
FULL_LABELS = {BPKDLoss}
# Take a part of the formula for a constant, as the published code does.
CUT_GRADIENT = {HalfMapPairWiseKDLoss}
# Rounding the inputs moves maxima, signs and levels, with which the gradient jumps.
ROUGH = {PseudoLabelLoss: 2e-1, SSTKDStatisticalTextureLoss: 3e-1}


@pytest.fixture(params=LOSSES, ids=lambda cls: cls.__name__)
def cls(request):
    return request.param


def value_and_gradient(cls, student, teacher, *y, loss=None):
    student = student.detach().clone(memory_format=torch.preserve_format).requires_grad_()
    value = evaluate(loss or build(cls, student, teacher), student, teacher, *y)
    return value, torch.autograd.grad(value, student)[0]


def test_losses_were_found():
    assert len(LOSSES) >= 11 and len(LABELED) >= 1


@pytest.mark.parametrize('shape', [(3, 5, 7, 9), (1, 5, 6, 8), (1, 2, 5, 3), (2, 19, 1, 7), (1, 150, 3, 5)])
def test_it_gives_a_finite_scalar_with_a_gradient_to_the_student_only(cls, shape):
    student, teacher, *y = example(cls, *shape)
    student.requires_grad_()
    teacher.requires_grad_()
    before = student.detach().clone(), teacher.detach().clone()
    value = evaluate(build(cls, student, teacher), student, teacher, *y)
    assert value.shape == () and value.dtype == torch.float32 and value.isfinite()
    value.backward()
    assert student.grad.isfinite().all() and student.grad.abs().sum() > 0
    assert teacher.grad is None
    assert torch.equal(before[0], student) and torch.equal(before[1], teacher)


@pytest.mark.parametrize('cls', [c for c in LOSSES if c not in CUT_GRADIENT], ids=lambda cls: cls.__name__)
def test_the_gradient_is_that_of_the_value(cls):
    """Finite differences in float64, along random directions."""
    student, teacher, *y = example(cls, 2, 3, 3, 4)
    loss = build(cls, student, teacher).double()
    student, teacher = student.double().requires_grad_(), teacher.double()
    assert torch.autograd.gradcheck(lambda s: evaluate(loss, s, teacher, *y), student, fast_mode=True)


@pytest.mark.parametrize('cls', [c for c in LOSSES if c not in NO_KNOWN_MINIMUM], ids=lambda cls: cls.__name__)
def test_it_is_zero_at_equality_and_positive_elsewhere(cls):
    student, teacher, *y = example(cls)
    loss = build(cls, student, teacher)
    assert abs(evaluate(loss, teacher, teacher, *y).item()) < 1e-6 < evaluate(loss, student, teacher, *y).item()


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision(cls, dtype):
    student, teacher, *y = example(cls)
    value, grad = value_and_gradient(cls, student, teacher, *y)
    half, half_grad = value_and_gradient(cls, student.to(dtype), teacher.to(dtype), *y)
    assert half.dtype == torch.float32 and half_grad.dtype == dtype
    torch.testing.assert_close(half, value, rtol=2e-2, atol=1e-3)
    assert (half_grad.float() - grad).norm() < ROUGH.get(cls, 1e-1) * grad.norm()


def test_autocast_changes_nothing(cls):
    student, teacher, *y = example(cls)
    value, grad = value_and_gradient(cls, student, teacher, *y)
    loss = build(cls, student, teacher)
    student.requires_grad_()
    with torch.autocast('cpu', torch.bfloat16):
        cast = evaluate(loss, student, teacher, *y)
        half = evaluate(loss, student.bfloat16(), teacher.bfloat16(), *y)
    assert cast.dtype == half.dtype == torch.float32
    torch.testing.assert_close(cast, value)
    torch.testing.assert_close(torch.autograd.grad(cast, student)[0], grad)
    torch.testing.assert_close(half, value, rtol=2e-2, atol=1e-3)


def test_memory_format_does_not_matter(cls):
    student, teacher, *y = example(cls)
    value, grad = value_and_gradient(cls, student, teacher, *y)
    last = [x.contiguous(memory_format=torch.channels_last) for x in (student, teacher)]
    other, other_grad = value_and_gradient(cls, *last, *y)
    torch.testing.assert_close(other, value)
    torch.testing.assert_close(other_grad, grad, rtol=1e-4, atol=1e-7)


def test_the_order_of_samples_does_not_matter(cls):
    inputs = example(cls)
    loss = build(cls, *inputs)
    order = torch.tensor([2, 0, 1])
    value, grad = value_and_gradient(cls, *inputs, loss=loss)
    other, other_grad = value_and_gradient(cls, *(x[order] for x in inputs), loss=loss)
    torch.testing.assert_close(other, value)
    torch.testing.assert_close(other_grad, grad[order], rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize('cls', [c for c in LOSSES if c not in WITHOUT_TEACHER], ids=lambda cls: cls.__name__)
def test_shapes_must_agree(cls):
    student, teacher, *y = example(cls)
    loss = build(cls, student, teacher)
    for other in (teacher[..., 1:], teacher[1:], teacher[:, :, None]):
        with pytest.raises(ValueError, match=rf'{cls.__name__} needs equal .* student is .* teacher is .*; give'):
            loss(student, other, *y)
    if cls.needs_equal_channels:
        with pytest.raises(ValueError, match=f'{cls.__name__} needs equal shapes'):
            loss(student, teacher[:, 1:], *y)
    else:
        assert evaluate(build(cls, student, teacher[:, 1:]), student, teacher[:, 1:], *y).isfinite()


def test_labels_come_where_they_are_wanted_and_nowhere_else(cls):
    student, teacher, *y = example(cls)
    loss = build(cls, student, teacher)
    if not cls.needs_labels:
        with pytest.raises(ValueError, match=f'{cls.__name__} takes no labels, but labels came as Tensor'):
            loss(student, teacher, labels(3, 7, 9))
        return
    with pytest.raises(ValueError, match=f'{cls.__name__} needs labels, but labels came as NoneType'):
        loss(student, teacher)
    for wrong in (y[0][:, None], y[0][1:]):
        with pytest.raises(ValueError, match=r'needs labels of shape \(N, H, W\) with N = 3'):
            loss(student, teacher, wrong)


@pytest.mark.parametrize('cls', LABELED, ids=lambda cls: cls.__name__)
def test_void_pixels_count_for_nothing(cls):
    student, teacher, y = example(cls)
    void = (y == 255)[:, None].float()
    loss = build(cls, student, teacher)
    value, grad = value_and_gradient(cls, student, teacher, y, loss=loss)
    changed = [x + 100 * void * torch.randn_like(x) for x in (student, teacher)]
    assert torch.equal(value_and_gradient(cls, *changed, y, loss=loss)[0], value)
    assert void.sum() > 0 and (grad * void == 0).all()


@pytest.mark.parametrize('cls', LABELED, ids=lambda cls: cls.__name__)
def test_nothing_but_void_gives_a_zero_that_can_be_differentiated(cls):
    student, teacher, y = example(cls)
    value, grad = value_and_gradient(cls, student, teacher, torch.full_like(y, 255))
    assert value.item() == 0 and (grad == 0).all()


@pytest.mark.parametrize('cls', LABELED, ids=lambda cls: cls.__name__)
def test_one_labeled_pixel_counts_in_full(cls):
    """Also one pair of pixels: twice the same image must give the same mean."""
    student, teacher, y = (x[:1] for x in example(cls))
    loss = build(cls, student, teacher)
    for pixels in ([(2, 3)], [(2, 3), (4, 5)]):
        y = torch.full_like(y, 255)
        for label, (row, column) in enumerate(pixels):
            y[0, row, column] = label
        values = []
        for count in (1, 2):
            torch.manual_seed(0)
            values.append(objective(loss, *(torch.cat(count * [x]) for x in (student, teacher, y))))
        torch.testing.assert_close(*values, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize('cls', [c for c in LABELED if c not in FULL_LABELS], ids=lambda cls: cls.__name__)
def test_labels_of_any_resolution_are_sampled(cls):
    student, teacher, y = example(cls)
    loss = build(cls, student, teacher)
    large = y.repeat_interleave(3, dim=1).repeat_interleave(2, dim=2)
    assert torch.equal(evaluate(loss, student, teacher, large), evaluate(loss, student, teacher, y))


@pytest.mark.parametrize('cls', LABELED, ids=lambda cls: cls.__name__)
def test_classes_may_be_absent(cls):
    """Of the first image all but one, of the second all; and classes that are nowhere need not be known."""
    student, teacher, y = example(cls)
    y[0], y[1] = 1, 255
    value, grad = value_and_gradient(cls, student, teacher, y)
    assert value.isfinite() and grad.isfinite().all()
    few = build(cls, student, teacher, classes=4)
    if cls not in ROUND_TO_CLASSES:
        torch.testing.assert_close(value_and_gradient(cls, student, teacher, y, loss=few), (value, grad))


@pytest.mark.parametrize('cls', LOSSES, ids=lambda cls: cls.__name__)
def test_the_denominator_counts_labeled_pixels_or_images(cls):
    student, teacher, *y = example(cls)
    expected = 3
    if y:
        y[0][0], y[0][1] = 255, torch.where(y[0][1] == 255, 255, 2)  # no class, one class, up to four classes
        pixels = (y[0] != 255).sum().item()
        classes = len(y[0].unique()) - 1
        other = {APDPrototypeLoss: classes, BPKDLoss: 3, ChannelFAKDLoss: 3, IDDInterClassDistanceLoss: 1}
        expected = other.get(cls, pixels)
    found = build(cls, student, teacher).denominator(student.requires_grad_().bfloat16(), teacher.bfloat16(), *y)
    assert found.item() == expected and found.dtype == torch.float32 and not found.requires_grad


class Operations(TorchDispatchMode):
    """Counts what is dispatched to the device, in forward and backward pass; kernels may call others as they like."""

    def __init__(self):
        super().__init__()
        self.counts = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.counts[str(function)] += 1
        if function is torch.ops.aten.lift_fresh.default:
            raise RuntimeError('numbers of the host are copied to the device')
        return function(*args, **(kwargs or {}))


def operations(loss, *inputs):
    """Counts of the operations of a training step on tensors without numbers: to ask for one, as for how many pixels a
    mask has, is an error. On a GPU it would wait."""
    mode = FakeTensorMode()
    with FakeCopyMode(mode):
        loss, inputs = copy.deepcopy((loss, inputs))
    inputs[0].requires_grad_()
    with mode, Operations() as seen:
        objective(loss, *inputs).backward()
    return seen.counts


def training_step(cls, images, classes):
    """The operations of a step with as many channels as classes."""
    student, teacher = (x.float() for x in maps(images, classes, 16, 20))
    y = (labels(images, 16, 20, classes=classes),) if cls.needs_labels else ()
    return operations(build(cls, student, teacher, classes=classes).train(), student, teacher, *y)


def test_it_neither_waits_nor_loops_over_images_or_classes(cls):
    # One chunk for losses that work in chunks, and more pixels than channels for those that choose the smaller product.
    assert training_step(cls, images=2, classes=16) == training_step(cls, images=3, classes=32)


@pytest.mark.parametrize(
    'wait',
    [
        lambda x: x * x.sum().item(),
        lambda x: x if x.sum() > 0 else -x,
        lambda x: x[x > 0],
        lambda x: x * len(x.tolist()),
        lambda x: x.detach().unique() * x.mean(),
        lambda x: x.masked_select(x > 0),
        lambda x: x[x.nonzero()[0]],
        lambda x: x.mean() * x.long().abs().flatten().bincount(),
        lambda x: x * x.detach().numpy().max(),
        lambda x: x * torch.tensor([2.0]),
        lambda x: x.repeat_interleave(torch.ones(len(x), dtype=torch.long), 0),
    ],
)
def test_what_waits_is_found(wait):
    operations(lambda x: (2 * x).sum(), torch.randn(2, 3))
    with pytest.raises(RuntimeError):
        operations(lambda x: wait(x).sum(), torch.randn(2, 3))


@pytest.mark.parametrize('loop', [lambda x: sum(c.exp().sum() for c in x), lambda x: sum(c.exp().sum() for c in x.T)])
def test_what_loops_is_found(loop):
    counts = [operations(loop, torch.randn(n, n)) for n in (2, 3)]
    assert counts[1]['aten.exp.default'] == counts[0]['aten.exp.default'] + 1


def step(loss, *inputs):
    """A step of training with the random numbers of seed 0; its value."""
    torch.manual_seed(0)
    value = objective(loss, inputs[0].requires_grad_(), *inputs[1:])
    value.backward()
    for parameter in loss.parameters():
        parameter.data -= 1e-3 * parameter.grad
        parameter.grad = None
    return value


def test_a_state_dict_brings_all_back(cls, tmp_path):
    batches = [example(cls, seed=seed) for seed in range(3)]
    saved, resumed = (build(cls, *batches[0], seed=seed).train() for seed in range(2))
    for batch in batches[:2]:
        step(saved, *batch)
    torch.save(saved.state_dict(), tmp_path / 'state.pth')
    resumed.load_state_dict(torch.load(tmp_path / 'state.pth', weights_only=True))
    assert torch.equal(*(step(loss, *batches[2]) for loss in (saved, resumed)))
    first, second, fresh = (loss.state_dict() for loss in (saved, resumed, build(cls, *batches[0])))
    assert all(torch.equal(first[name], second[name]) for name in first)
    learned = {name for name in first if not torch.equal(first[name], fresh[name])}
    assert not first.keys() - {'student.classifier'} or learned


def shared_state(loss):
    """Memories and statistics, which all processes must hold alike; parameters are left to DDP."""
    return {
        f'{name}.{key}': value
        for name, module in loss.named_modules()
        for key, value in module.named_buffers()
        if isinstance(module, (ClassStatistics, MemoryQueue))
    }


# Defined by the images of one process, as published: their formulas combine images, or sum over them.
BY_PROCESS = {
    APDContextLoss,
    APDLoss,
    APDPrototypeLoss,
    AttnFDLoss,
    CIRKDChannelLoss,
    CIRKDMiniBatchLoss,
    DISTLoss,
    SummedPixelWiseKDLoss,
}
# The images of the two processes, and what each of these batches leaves unlabeled: few pixels of the first process, or
# all of them.
SHARES = slice(0, 1), slice(1, 4)
IGNORED = dict(few=(slice(0, 1), slice(0, 6)), all=(slice(0, 1), slice(None)))


def shared_batch(cls, ignored):
    student, teacher, *y = example(cls, 4, 5, 7, 9)
    for each in y:
        each[IGNORED[ignored]] = 255
    return student, teacher, *y


def joined_gradients(cls, ignored, images=slice(None)):
    """Gradients of the student's maps, and of the parameters of the loss, for some images of a batch."""
    batch = shared_batch(cls, ignored)
    loss, inputs, denominators = build(cls, *batch), [x[images] for x in batch], TermDenominators()
    inputs[0].requires_grad_()
    denominators.add(['loss'], lambda: loss.denominator(*inputs))
    denominators.join(dict(loss=evaluate(loss, *inputs)))['loss'].backward()
    critic = [] if not isinstance(loss, AdversarialLoss) else list(map(id, loss.critic.parameters()))
    own = {n: p.grad for n, p in loss.named_parameters() if p.grad is not None and id(p) not in critic}
    return inputs[0].grad, own


def work(rank, folder):
    torch.set_num_threads(1)
    dist.init_process_group('gloo', init_method=f'file://{folder}/store', rank=rank, world_size=2)
    init_default_scope('mmseg')
    states, gradients = {}, {}
    for cls in LOSSES:
        gradients[cls.__name__] = {
            key: joined_gradients(cls, key, SHARES[rank]) for key in list(IGNORED)[: 1 + cls.needs_labels]
        }
        loss = build(cls, *example(cls)).train()
        if shared_state(loss):
            for batch in range(3):
                torch.manual_seed(2 * batch + rank)
                loss(*example(cls, seed=2 * batch + rank))
            states[cls.__name__] = shared_state(loss)
    torch.save((states, gradients), f'{folder}/{rank}.pth')
    dist.destroy_process_group()


@pytest.fixture(scope='module')
def ranks(tmp_path_factory):
    """What two processes hold after some batches, and their gradients."""
    if not dist.is_gloo_available():
        pytest.skip('torch without gloo')
    folder = tmp_path_factory.mktemp('ranks')
    run_ranks(work, (str(folder),), nprocs=2)
    return [torch.load(folder / f'{rank}.pth', weights_only=True) for rank in range(2)]


def test_two_ranks_with_other_data_and_seeds_hold_the_same_state(ranks):
    first, second = (states for states, _ in ranks)
    assert first.keys() == second.keys() >= {'CIRKDChannelLoss', 'CIRKDMemoryLoss', 'FAKDLoss'}
    for name, state in first.items():
        fresh = shared_state(build(getattr(mmseg_kd.losses, name), *example(getattr(mmseg_kd.losses, name))))
        assert all(
            torch.equal(value, second[name][key]) and not torch.equal(value, fresh[key]) for key, value in state.items()
        ), name


def test_two_ranks_give_the_gradients_of_the_joined_batch(cls, ranks):
    """One image on the first and three on the second, with few or no labeled pixels on the first."""
    for key in list(IGNORED)[: 1 + cls.needs_labels]:
        (first, ours), (second, theirs) = (gradients[cls.__name__][key] for _, gradients in ranks)
        expected, own = joined_gradients(cls, key)
        found = torch.cat([first, second]) / 2  # DDP takes the mean over two ranks
        # Where the other process has no pixel, the batch of one process is the joined one.
        if cls in BY_PROCESS and not (cls.needs_labels and key == 'all'):
            assert not torch.allclose(found, expected, rtol=1e-3, atol=1e-7)
            assert 'process' in cls.__doc__, f'{cls.__name__} must say that it is defined by the images of a process'
            continue
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-7)
        for name, gradient in own.items():
            torch.testing.assert_close((ours[name] + theirs[name]) / 2, gradient, rtol=1e-4, atol=1e-6)
