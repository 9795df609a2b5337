import numpy as np
import pytest
import torch
import torch.nn.functional as F
from reference import labels
from torch.utils._python_dispatch import TorchDispatchMode

from mmseg_kd.losses.memory_queue import MemoryQueue, pixel_keys, region_keys, stray_pixel_keys


def rings(queue):
    return queue.rows[:-1].reshape(queue.classes, queue.size, -1)


def numbered(*numbers):
    return torch.tensor(numbers, dtype=torch.float32)[:, None]


def marked(n, h, w, classes, seed=0):
    """Unit features (n, P, classes + 1) whose largest entry names the class; void pixels have one of their own."""
    y = labels(n, h, w, classes=classes, seed=seed).flatten(1)
    features = 3 * F.one_hot(y.where(y != 255, classes), classes + 1) + torch.rand(n, h * w, classes + 1)
    return F.normalize(features, dim=2), y


def test_rings_start_as_noise_of_unit_length_the_same_everywhere():
    queue = MemoryQueue(3, 4, 5)
    torch.manual_seed(1)
    other = MemoryQueue(3, 4, 5)
    assert torch.equal(queue.rows, other.rows)
    torch.testing.assert_close(rings(queue).float().norm(dim=2), torch.ones(3, 4), rtol=2e-3, atol=0)
    assert rings(queue).flatten(0, 1).unique(dim=0).shape == (12, 5)


def test_vectors_take_two_bytes_a_number_and_their_cosines_hardly_change():
    queue, keys = MemoryQueue(1, 200, 64), F.normalize(torch.randn(200, 64), dim=1)
    queue.push(keys, torch.zeros(200, dtype=torch.long))
    drawn = queue.sample(200)
    assert queue.rows.element_size() == 2 and not torch.equal(rings(queue)[0].float(), keys)
    other = F.normalize(torch.randn(64, 50), dim=0)
    exact, kept = ((x.float() @ other).sort(dim=0)[0] for x in (keys, drawn))
    torch.testing.assert_close(kept, exact, rtol=0, atol=1e-3)


def test_a_ring_is_written_round():
    queue = MemoryQueue(2, 5, 1)
    before = queue.rows.clone()
    queue.push(numbered(1, 2, 3), torch.tensor([0, 0, 0]))
    assert rings(queue)[0, :3].flatten().tolist() == [1, 2, 3] and torch.equal(queue.rows[3:], before[3:])
    assert queue.pointers.tolist() == [3, 0] and queue.filled.tolist() == [3, 0]
    queue.push(numbered(4, 5, 6, 7), torch.tensor([0, 0, 0, 0]))
    assert rings(queue)[0].flatten().tolist() == [6, 7, 3, 4, 5]
    assert queue.pointers.tolist() == [2, 0] and queue.filled.tolist() == [5, 0]
    assert torch.equal(rings(queue)[1], before[5:10].reshape(5, 1))


def test_classes_come_in_any_order_and_the_class_beyond_is_dropped():
    queue = MemoryQueue(2, 4, 1)
    queue.push(numbered(1, 2, 3, 4, 5), torch.tensor([1, 2, 0, 1, 2]))
    assert rings(queue)[1, :2].flatten().tolist() == [1, 4] and rings(queue)[0, 0] == 3
    assert queue.filled.tolist() == [1, 2]
    assert (queue.rows[-1] == 0).all()


def test_nothing_but_the_class_beyond_changes_nothing():
    queue = MemoryQueue(2, 4, 1)
    before = {k: v.clone() for k, v in queue.state_dict().items()}
    queue.push(numbered(1, 2), torch.tensor([2, 2]))
    assert all(torch.equal(v, before[k]) for k, v in queue.state_dict().items())


def test_more_than_a_ring_holds_leaves_the_latest():
    queue = MemoryQueue(1, 3, 1)
    queue.push(numbered(0), torch.tensor([0]))
    queue.push(numbered(*range(1, 9)), torch.zeros(8, dtype=torch.long))
    assert rings(queue)[0].flatten().tolist() == [6, 7, 8]
    assert queue.pointers.tolist() == [0] and queue.filled.tolist() == [3]


class Written(TorchDispatchMode):
    """Notes the rows that are written by index."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function is torch.ops.aten.index_put_.default:
            self.rows = args[1][0].clone()
        return function(*args, **(kwargs or {}))


def test_no_row_is_written_twice_at_once():
    """On a GPU, it would be left to chance which of two vectors stays."""
    queue = MemoryQueue(2, 3, 1)
    with Written() as mode:
        queue.push(numbered(*range(9)), torch.tensor([0, 0, 1, 0, 0, 0, 2, 2, 1]))
    rows = mode.rows[mode.rows != 6]
    assert sorted(rows.tolist()) == [0, 1, 2, 3, 4] and (mode.rows == 6).sum() == 4


def test_a_long_history_equals_that_of_lists():
    queue, lists = MemoryQueue(4, 7, 1), [[] for _ in range(4)]
    for step in range(12):
        y = torch.randint(0, 5, (11,))
        queue.push(numbered(*(100 * step + i for i in range(11))), y)
        for i, k in enumerate(y.tolist()):
            if k < 4:
                lists[k].append(100 * step + i)
    for k, history in enumerate(lists):
        assert queue.pointers[k] == len(history) % 7 and queue.filled[k] == min(len(history), 7)
        latest = [h for i in range(7) for j, h in enumerate(history) if j % 7 == i and j >= len(history) - 7]
        assert rings(queue)[k].flatten().tolist() == latest


def test_a_full_ring_is_drawn_without_repetition_at_the_same_places_of_all_classes():
    queue = MemoryQueue(2, 50, 1)
    queue.push(numbered(*range(100)), torch.arange(100) // 50)
    drawn = queue.sample(20)
    assert drawn.shape == (40, 1)
    first, second = drawn[:, 0].chunk(2)
    assert len(first.unique()) == 20 and torch.equal(second, first + 50)
    assert not torch.equal(queue.sample(20), drawn)
    assert sorted(queue.sample(1000)[:, 0].tolist()) == list(range(100))


def test_a_ring_is_drawn_where_it_is_full_and_evenly():
    queue = MemoryQueue(2, 60, 1)
    queue.push(numbered(1, 2, 3), torch.zeros(3, dtype=torch.long))
    first, second = queue.sample(60).chunk(2)
    assert torch.bincount(first[:, 0].long()).tolist() == [0, 20, 20, 20]
    assert sorted(second[:, 0].tolist()) == sorted(rings(queue)[1, :, 0].tolist())
    assert set(queue.sample(10)[:10, 0].tolist()) <= {1.0, 2.0, 3.0}


def test_what_was_drawn_stays():
    queue = MemoryQueue(1, 3, 1)
    drawn = queue.sample(3)
    before = drawn.clone()
    queue.push(numbered(7, 8, 9), torch.zeros(3, dtype=torch.long))
    assert torch.equal(drawn, before)


def test_a_state_dict_brings_all_back():
    queue = MemoryQueue(2, 4, 3)
    queue.push(torch.randn(5, 3), torch.tensor([0, 0, 1, 0, 2]))
    other = MemoryQueue(2, 4, 3)
    other.load_state_dict(queue.state_dict())
    key, y = torch.randn(3, 3), torch.tensor([0, 0, 1])
    queue.push(key, y)
    other.push(key, y)
    assert all(torch.equal(*pair) for pair in zip(queue.buffers(), other.buffers()))
    assert not list(queue.parameters())


@pytest.mark.parametrize('shape', [(1, 3, 3), (3, 5, 7)])
def test_regions_are_the_means_of_the_classes_of_an_image(shape):
    classes = 6
    y = labels(*shape, classes=classes).flatten(1)
    y[y == 2] = 255
    features = torch.randn(*y.shape, 4, dtype=torch.float64)
    keys, names = region_keys(features, y, classes)
    for n in range(shape[0]):
        for k in range(classes):
            key, name = keys[n * classes + k], names[n * classes + k]
            members = features[n, y[n] == k].numpy()
            assert name == (k if len(members) else classes)
            if len(members):
                np.testing.assert_allclose(key, members.mean(0) / np.linalg.norm(members.mean(0)), rtol=1e-9)
    assert (names == classes).any() and (names < classes).any()


@pytest.mark.parametrize('count', [1, 4, 100])
@pytest.mark.parametrize('shape', [(1, 3, 3), (3, 5, 7), (2, 1, 1)])
def test_pixels_are_of_the_class_they_are_remembered_for(shape, count):
    classes = 5
    features, y = marked(*shape, classes)
    keys, names = pixel_keys(features, y, classes, count)
    assert len(keys) == shape[0] * classes * count
    assert torch.equal(keys.argmax(1)[names < classes], names[names < classes])
    for n in range(shape[0]):
        part = slice(n * classes * count, (n + 1) * classes * count)
        for k in range(classes):
            chosen = keys[part][names[part] == k]
            assert len(chosen) == min(count, int((y[n] == k).sum()))
            assert all((features[n] == key).all(1).any() for key in chosen) and len(chosen.unique(dim=0)) == len(chosen)


@pytest.mark.parametrize('count', [1, 4, 100])
def test_stray_pixels_are_the_first_of_the_image_as_many_as_the_class_has(count):
    """The published code: for each class, a permutation of 0 to n - 1 indexes the image."""
    (n, h, w), classes = (3, 5, 7), 5
    features, y = torch.arange(n * h * w).reshape(n, h * w, 1).double(), labels(n, h, w, classes=classes).flatten(1)
    keys, names = stray_pixel_keys(features, y, classes, count)
    each = min(count, h * w)
    assert len(keys) == n * classes * each
    for i in range(n):
        part = slice(i * classes * each, (i + 1) * classes * each)
        for k in range(classes):
            chosen, occurs = keys[part][names[part] == k], int((y[i] == k).sum())
            assert len(chosen) == min(count, occurs) == len(chosen.unique())
            assert ((chosen >= i * h * w) & (chosen < i * h * w + occurs)).all()


def test_every_pixel_of_a_class_is_as_likely():
    features, y = torch.arange(8.0).reshape(1, 8, 1), torch.tensor([[0, 1, 0, 255, 0, 1, 0, 0]])
    drawn = torch.cat([pixel_keys(features, y, 2, 2)[0][:2, 0] for _ in range(2000)]).long()
    shares = torch.bincount(drawn, minlength=8) / 2000
    torch.testing.assert_close(shares, torch.tensor([2.0, 0, 2, 0, 2, 0, 2, 2]) / 5, rtol=0, atol=0.06)


def test_void_alone_gives_no_keys():
    features, y = torch.randn(2, 6, 3), torch.full((2, 6), 255)
    assert (region_keys(features, y, 4)[1] == 4).all() and (pixel_keys(features, y, 4, 3)[1] == 4).all()
    assert (stray_pixel_keys(features, y, 4, 3)[1] == 4).all()


@pytest.mark.parametrize('label', [4, 254, -1])
def test_a_label_that_is_no_class_is_an_error(label):
    features, y = torch.randn(1, 2, 3), torch.tensor([[0, label]])
    for function in (lambda: region_keys(features, y, 4), lambda: pixel_keys(features, y, 4, 3)):
        with pytest.raises(RuntimeError, match='out of bounds'):
            function()
