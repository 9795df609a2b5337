import numpy as np
import pytest
import torch
import torch.distributed as dist
from fork_server import run_ranks
from reference import SHAPES, gradient, kept_floats, labels, maps, softmax

from mmseg_kd.losses import CIRKDMemoryLoss, StrayCIRKDMemoryLoss
from mmseg_kd.losses.memory_queue import MemoryQueue

SMALL = dict(pixel_size=12, region_size=5, pixel_contrast=9, region_contrast=4, pixels_per_class=3)


def ready(student, teacher, classes=4, **arguments):
    torch.manual_seed(0)
    loss = CIRKDMemoryLoss(**{**SMALL, **arguments})
    loss.classes = classes
    loss.setup(student, teacher)
    return loss.to(student.dtype)


def example(*shape, channels=None, classes=4, seed=0):
    return (*maps(*shape, channels=channels, seed=seed), labels(shape[0], *shape[2:], classes=classes, seed=seed))


def rings(queue):
    return queue.rows[:-1].reshape(queue.classes, queue.size, -1)


def unit(x):
    return x / max(np.linalg.norm(x), 1e-8)


def projected(loss, student):
    return loss.head(student).detach().numpy()


def expected(projection, teacher, y, contrasts, tau):
    """Pixel by pixel, from what was drawn from the memories."""
    total, count = 0.0, 0
    for n, i, j in np.ndindex(*y.shape):
        if y[n, i, j] != 255:
            s, t = unit(projection[n, :, i, j]), unit(teacher[n, :, i, j].numpy())
            for keys in contrasts:
                q, p = softmax(keys.numpy() @ s / tau, 0), softmax(keys.numpy() @ t / tau, 0)
                total += (p * np.log(p / q)).sum()
            count += 1
    return total / max(count, 1)


def contrasts_of_next_call(loss):
    """What the loss will draw, if the seed is set to 1 before it is called in eval mode."""
    torch.manual_seed(1)
    return [
        loss.pixels.sample(loss.contrasts[0] // loss.classes + 1),
        loss.regions.sample(loss.contrasts[1] // loss.classes + 1),
    ]


@pytest.mark.parametrize('dtype, tolerance', [(torch.float64, 1e-9), (torch.float32, 1e-5)])
@pytest.mark.parametrize('tau', [0.1, 0.5])
@pytest.mark.parametrize('shape', SHAPES)
def test_equals_the_formula(shape, tau, dtype, tolerance):
    student, teacher, y = example(*shape, channels=7)
    loss = ready(student, teacher, temperature=tau)
    y[0, 0, 0] = 3
    if shape[2:] != (1, 1):
        loss(student, teacher, y)
    loss.eval()
    value = expected(projected(loss, student), teacher, y, contrasts_of_next_call(loss), tau)
    loss.to(dtype)
    torch.manual_seed(1)
    assert loss(student.to(dtype), teacher.to(dtype), y).item() == pytest.approx(value, rel=tolerance, abs=1e-6)


def test_one_pixel_and_two_memories_by_hand():
    student, teacher = torch.tensor([3.0, 0.0]).reshape(1, 2, 1, 1), torch.tensor([5.0, 5.0]).reshape(1, 2, 1, 1)
    loss = ready(student, teacher, classes=2, temperature=1.0, pixel_contrast=1, region_contrast=1).eval()
    loss.head = torch.nn.Identity()
    loss.check = lambda *maps: None
    for queue in (loss.pixels, loss.regions):
        rings(queue)[0] = torch.tensor([1.0, 0.0])
        rings(queue)[1] = torch.tensor([0.0, 1.0])
    # Teacher (1/2, 1/2), student (e, 1) / (e + 1), with pixels and with regions.
    value = loss(student, teacher, torch.zeros(1, 1, 1, dtype=torch.long))
    assert value.item() == pytest.approx(2 * (np.log((np.e + 1) / 2) - 0.5), rel=1e-5)


def test_equal_embeddings_have_no_loss():
    student, teacher, y = example(2, 3, 4, 5)
    loss = ready(student, teacher)
    loss.head.forward = lambda x: 3 * x
    assert loss(teacher, teacher, y).item() == pytest.approx(0, abs=1e-12)
    assert loss(student, teacher, y) > 0.1


def test_gradient():
    student, teacher, y = example(2, 3, 2, 3, channels=4)
    loss = ready(student, teacher).eval()

    def value(s):
        torch.manual_seed(1)
        return loss(s, teacher, y)

    assert torch.autograd.gradcheck(value, student.requires_grad_())


def test_gradient_reaches_head_and_student_but_neither_teacher_nor_memory():
    student, teacher, y = example(2, 3, 4, 5, channels=4)
    student.requires_grad_()
    teacher.requires_grad_()
    loss = ready(student, teacher)
    loss(student, teacher, y).backward()
    assert teacher.grad is None and student.grad.abs().sum() > 0
    assert all(p.grad.abs().sum() > 0 for p in loss.parameters())
    assert not any(b.requires_grad for b in loss.buffers())
    assert {name.split('.')[0] for name, _ in loss.named_parameters()} == {'head'}


def test_the_memories_hold_what_they_should():
    student, teacher, y = example(3, 2, 6, 7, channels=5)
    y[y == 1] = 255
    loss = ready(student, teacher)
    noise = loss.state_dict()['regions.rows'].clone(), loss.state_dict()['pixels.rows'].clone()
    loss(student, teacher, y)
    vectors = [[unit(v) for v in np.moveaxis(t, 0, -1).reshape(-1, 5)] for t in teacher.numpy()]
    for k in range(4):
        regions = []
        members = [[v for v, label in zip(vectors[n], y[n].flatten()) if label == k] for n in range(3)]
        regions = [unit(np.mean(part, axis=0)) for part in members if part]
        pixels = sum(min(3, len(part)) for part in members)
        assert loss.regions.filled[k] == len(regions) and loss.pixels.filled[k] == pixels
        if regions:
            np.testing.assert_allclose(rings(loss.regions)[k, : len(regions)], regions, rtol=1e-9)
        for pixel in rings(loss.pixels)[k, :pixels].numpy():
            assert min(np.abs(pixel - v).max() for part in members for v in part) < 1e-12
    for queue, before in zip((loss.regions, loss.pixels), noise):
        ring = rings(queue)[1]
        assert queue.filled[1] == 0 and torch.equal(ring, before[:-1].reshape(4, queue.size, 5)[1])


def test_stripes_of_classes_are_remembered_purely():
    """The published code would fill the memory of every class from the first rows of the image."""
    y = torch.arange(8).repeat_interleave(4)[None, :, None].expand(2, 32, 6)
    teacher = torch.nn.functional.one_hot(y, 8).permute(0, 3, 1, 2).double()
    student = torch.randn(2, 3, 32, 6, dtype=torch.float64)
    loss = ready(student, teacher, classes=8)
    loss(student, teacher, y)
    for k in range(8):
        assert loss.pixels.filled[k] == 6 and (rings(loss.pixels)[k, :6].argmax(1) == k).all()


def test_evaluation_leaves_the_memories():
    student, teacher, y = example(2, 3, 4, 5)
    loss = ready(student, teacher).eval()
    before = {k: v.clone() for k, v in loss.state_dict().items()}
    loss(student, teacher, y)
    assert all(torch.equal(v, before[k]) for k, v in loss.state_dict().items())


def test_void_alone_leaves_the_memories_and_gives_a_zero():
    student, teacher, y = example(2, 3, 4, 5)
    loss = ready(student, teacher)
    before = {k: v.clone() for k, v in loss.state_dict().items() if k.startswith(('pixels', 'regions'))}
    student.requires_grad_()
    value = loss(student, teacher, torch.full_like(y, 255))
    value.backward()
    assert value == 0 and (student.grad == 0).all()
    assert all(p.grad is not None and (p.grad == 0).all() for p in loss.parameters())
    assert all(torch.equal(v, loss.state_dict()[k]) for k, v in before.items())


@pytest.mark.parametrize('classes, draws', [(19, [216, 54]), (21, [196, 49]), (150, [28, 7])])
def test_published_numbers_of_contrasts(classes, draws):
    student, teacher, y = example(1, 2, 2, 2)
    loss, seen = ready(student, teacher, classes=classes, pixel_contrast=4096, region_contrast=1024), []
    for queue in (loss.pixels, loss.regions):
        queue.sample = lambda count, queue=queue: seen.append(count) or MemoryQueue.sample(queue, count)
    loss(student, teacher, y)
    assert seen == draws


def test_a_state_dict_brings_all_back():
    student, teacher, y = example(2, 3, 4, 5, channels=4)
    loss, other = ready(student, teacher), ready(student, teacher)
    for seed in range(3):
        loss(*example(2, 3, 4, 5, channels=4, seed=seed))
    other.load_state_dict(loss.state_dict())
    for one in (loss, other):
        one.value = gradient(lambda *maps: torch.manual_seed(2) and one(*maps), student, teacher, y)
    assert torch.equal(loss.value, other.value)
    assert all(torch.equal(*pair) for pair in zip(loss.buffers(), other.buffers()))


def test_no_map_of_pixels_and_memory_is_kept():
    student, teacher = (x.float() for x in maps(1, 4, 40, 40))
    loss = ready(student, teacher, pixel_size=1000, pixel_contrast=4000)
    y = labels(1, 40, 40, classes=4)
    assert kept_floats(loss, student, teacher, y) < 100 * 1600 < 4000 * 1600 / 10


def test_no_value_is_read_from_the_device():
    """Whatever asks for a number makes the host wait; on the meta device, it fails."""
    student, teacher = (x.float().to('meta') for x in maps(2, 3, 6, 7, channels=4))
    loss = ready(student, teacher).to('meta')
    student.requires_grad_()
    assert loss.compute(student, teacher, labels(2, 6, 7).to('meta')).is_meta


def test_it_must_be_set_up_for_these_channels():
    student, teacher, y = example(2, 3, 4, 5)
    with pytest.raises(ValueError, match='CIRKDMemoryLoss has no projection head yet: call setup'):
        CIRKDMemoryLoss()(student, teacher, y)
    with pytest.raises(ValueError, match='set up for 3 channels of the student and 3 of the teacher, but got 2 and 3;'):
        ready(student, teacher)(student[:, 1:], teacher, y)


@pytest.mark.parametrize('wrong', [dict(temperature=0.0), dict(pixel_size=0), dict(pixels_per_class=0)])
def test_arguments_are_checked(wrong):
    with pytest.raises(ValueError, match='CIRKDMemoryLoss: .* must be > 0, but is'):
        CIRKDMemoryLoss(**wrong)


def batch(rank, step):
    student, teacher, y = example(2, 3, 5, 6, channels=4, seed=10 * rank + step)
    y[y == rank] = 255
    return student, teacher, y


def work(rank, folder):
    torch.set_num_threads(1)
    dist.init_process_group('gloo', init_method=f'file://{folder}/store', rank=rank, world_size=2)
    loss = ready(*batch(rank, 0)[:2], region_size=50)
    torch.manual_seed(rank)
    for step in range(3):
        loss(*batch(rank, step)).backward()
    torch.save(dict(loss.named_buffers()), f'{folder}/{rank}.pth')
    dist.destroy_process_group()


@pytest.mark.skipif(not dist.is_gloo_available(), reason='torch without gloo')
def test_two_ranks_with_other_data_and_seeds_hold_the_same_memories(tmp_path):
    run_ranks(work, (str(tmp_path),), nprocs=2)
    first, second = (torch.load(tmp_path / f'{rank}.pth') for rank in range(2))
    names = [name for name in first if not name.startswith('head')]
    assert len(names) == 6 and all(torch.equal(first[name], second[name]) for name in names)
    # Of both ranks: each lacks one of the four classes; a step adds 4 images' regions, of 4 classes.
    alone = ready(*batch(0, 0)[:2], region_size=50)
    for step in range(3):
        alone(*(torch.cat(x) for x in zip(batch(0, step), batch(1, step))))
    for name in ('regions.rows', 'regions.pointers', 'regions.filled', 'pixels.pointers', 'pixels.filled'):
        torch.testing.assert_close(first[name], dict(alone.named_buffers())[name])


def test_stripes_leave_the_memory_of_the_published_code_impure_and_ours_pure():
    """Two classes in horizontal stripes, each pixel's feature naming its class."""
    y = torch.arange(2).repeat_interleave(4)[None, :, None].expand(1, 8, 8)
    teacher = torch.nn.functional.one_hot(y, 2).permute(0, 3, 1, 2).double()
    student = torch.randn_like(teacher)
    for cls, purity in ((CIRKDMemoryLoss, [1, 1]), (StrayCIRKDMemoryLoss, [1, 0])):
        loss = cls(**dict(SMALL, pixel_size=3))
        loss.classes = 2
        loss.setup(student, teacher)
        loss.double().train()(student, teacher, y)
        found = [(ring.argmax(1) == k).double().mean().item() for k, ring in enumerate(rings(loss.pixels))]
        assert found == purity
