import torch
from reference import maps

from mmseg_kd.losses.class_statistics import ClassStatistics


def test_batches_add_up_to_the_whole():
    features, _ = maps(60, 4)
    labels = torch.randint(0, 3, (60,), generator=torch.Generator().manual_seed(0))
    statistics = ClassStatistics(5, 4).double()
    for batch in torch.arange(60).split([1, 20, 3, 36]):
        statistics.update(features[batch], labels[batch])
    for k in range(3):
        torch.testing.assert_close(statistics.mean[k], features[labels == k].mean(0))
        torch.testing.assert_close(statistics.variance[k], features[labels == k].var(0, correction=0))
    assert statistics.count.flatten().tolist() == [(labels == k).sum() for k in range(5)]
    assert (statistics.mean[3:] == 0).all() and (statistics.variance[3:] == 0).all()


def test_the_class_beyond_is_left_out():
    features, _ = maps(6, 3)
    features[4:] = torch.nan
    labels = torch.tensor([0, 1, 0, 1, 2, 2])
    statistics, known = ClassStatistics(2, 3).double(), ClassStatistics(2, 3).double()
    statistics.update(features, labels)
    known.update(features[:4], labels[:4])
    assert all(torch.equal(*pair) for pair in zip(statistics.buffers(), known.buffers()))


def test_nothing_to_show_changes_nothing():
    statistics = ClassStatistics(2, 3)
    statistics.update(torch.ones(4, 3), torch.tensor([0, 0, 1, 1]))
    before = {name: buffer.clone() for name, buffer in statistics.named_buffers()}
    statistics.update(torch.ones(0, 3), torch.zeros(0, dtype=torch.long))
    assert all(torch.equal(buffer, before[name]) for name, buffer in statistics.named_buffers())


def test_far_from_zero_the_variance_keeps_its_digits():
    features = torch.randn(4000, 1, generator=torch.Generator().manual_seed(0)) + 1000
    statistics = ClassStatistics(1, 1)
    for batch in features.split(400):
        statistics.update(batch, torch.zeros(400, dtype=torch.long))
    expected = features.double().var(0, correction=0).float()
    torch.testing.assert_close(statistics.variance[0], expected, rtol=5e-2, atol=0)


def test_features_get_no_gradient_and_any_precision_serves():
    features = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    statistics = ClassStatistics(2, 3)
    statistics.update(features, torch.tensor([0, 0, 1, 1]))
    assert statistics.mean.dtype == torch.float32 and not statistics.mean.requires_grad
