import numpy as np
import pytest

from mmseg_kd.comparison.image_bootstrap import image_difference, validated_images
from mmseg_kd.io.image_confusion import LAST, TEST, ImageConfusion, write_image_confusion
from mmseg_kd.io.runs import Run


def confusion(matrices, names=None, classes=None):
    """Matrices (N, C, C) as a file holds them."""
    matrices = np.asarray(matrices)
    count = matrices.shape[1]
    image, cell = np.nonzero(matrices.reshape(len(matrices), -1))
    names = names or [f'{i}.png' for i in range(len(matrices))]
    classes = classes or [f'class {i}' for i in range(count)]
    return ImageConfusion(names, classes, 1, image, cell, matrices.reshape(len(matrices), -1)[image, cell])


def networks(count, images=30, classes=3, right=20, seed=0):
    """Networks on the same images; the last class is in one image of five."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(50, 100, (images, classes))
    truth[np.arange(images) % 5 > 0, -1] = 0
    found = []
    for _ in range(count):
        wrong = rng.dirichlet(np.ones(classes), (images, classes))
        share = wrong + np.eye(classes) * right / 10
        share /= share.sum(-1, keepdims=True)
        found.append(confusion(np.round(share * truth[:, :, None]).astype(int)))
    return found


def miou(matrices):
    """The plain way, for one matrix of all images."""
    total = sum(matrices)
    ious = []
    for label in range(len(total)):
        union = total[label].sum() + total[:, label].sum() - total[label, label]
        if union:
            ious.append(total[label, label] / union)
    return 100 * np.mean(ious)


def test_the_difference_is_that_of_the_miou():
    ours, theirs = networks(2), networks(3, seed=1)
    found = image_difference(ours, theirs, resamples=99)
    expected = np.mean([one.miou for one in ours]) - np.mean([one.miou for one in theirs])
    assert found.mean == pytest.approx(expected) and found.images == 30 and found.low < found.mean < found.high


def test_the_interval_is_that_of_a_plain_loop():
    """The percentiles of a loop over resamples; BCa differs from them a little, as in SciPy's own comparison."""
    ours, theirs = networks(2, right=30), networks(2, seed=1)
    matrices = [[[one.matrix(i) for i in range(30)] for one in group] for group in (ours, theirs)]
    rng = np.random.default_rng(1)
    differences = []
    for _ in range(1000):
        drawn = rng.integers(0, 30, 30)
        means = [np.mean([miou([one[i] for i in drawn]) for one in group]) for group in matrices]
        differences.append(means[0] - means[1])
    low, high = np.quantile(differences, [0.025, 0.975])
    found = image_difference(ours, theirs)
    assert found.low == pytest.approx(low, abs=0.1 * (high - low))
    assert found.high == pytest.approx(high, abs=0.1 * (high - low))
    narrow = image_difference(ours, theirs, confidence=0.5)
    assert found.low < narrow.low < narrow.high < found.high


def test_two_images_by_hand():
    """One class: the IoU of ours is 1 or 0.5, that of theirs 0.5 or 0.5; the draws 00, 01, 10, 11 are equally likely."""
    two = confusion([[[10, 0], [0, 0]], [[10, 10], [0, 0]]])
    half = confusion([[[5, 5], [0, 0]], [[10, 10], [0, 0]]])
    found = image_difference([two], [half], confidence=0.9)
    # The second class is predicted but never a label, so its IoU is 0 unless no network predicts it.
    # 00: 100 - 25. 01: (20 / 30) / 2 - 25 = 8.33. 11: 0.
    assert found.mean == pytest.approx(100 * 20 / 30 / 2 - 25)
    assert found.low == pytest.approx(0) and found.high == pytest.approx(75)


def test_equal_networks_differ_by_exactly_nothing():
    one = networks(1)
    found = image_difference(one, networks(1))
    assert (found.mean, found.low, found.high) == (0.0, 0.0, 0.0)


def test_pairing_by_image_removes_what_all_networks_share():
    """Ours is a little better on every image, and the images differ much: the interval excludes 0, and is narrow."""
    rng = np.random.default_rng(0)
    right = rng.integers(20, 80, 40)
    theirs = [[[hit, 100 - hit], [100 - hit, hit]] for hit in right]
    ours = [[[hit + 2, 98 - hit], [98 - hit, hit + 2]] for hit in right]
    found = image_difference([confusion(ours)], [confusion(theirs)])
    assert 1.5 < found.low < found.mean < found.high < 3.5


def test_the_order_of_the_images_does_not_matter():
    one, two = networks(2)
    order = np.random.default_rng(0).permutation(30)
    other = confusion([two.matrix(i) for i in order], [two.images[i] for i in order])
    assert image_difference([one], [two], resamples=99) == image_difference([one], [other], resamples=99)


def test_other_images_and_classes_are_refused_by_name():
    one, two = networks(2)
    renamed = confusion([two.matrix(i) for i in range(30)], [*two.images[:-1], 'other.png'])
    with pytest.raises(ValueError, match='validation images must be the same.*only one of the two has 29.png'):
        image_difference([one], [renamed])
    with pytest.raises(ValueError, match='classes must be the same, but are class 0, class 1, class 2 and x, y, z'):
        image_difference([one], [confusion([two.matrix(i) for i in range(30)], classes=list('xyz'))])
    with pytest.raises(ValueError, match='between 0 and 1, such as 0.95, but is 95'):
        image_difference([one], [two], confidence=95)


def test_one_image_has_no_interval():
    found = image_difference([confusion([[[3, 1], [0, 4]]])], [confusion([[[4, 0], [0, 4]]])])
    assert found.low is None and found.high is None and found.mean < 0


def test_matrices_must_be_those_of_the_last_validation(tmp_path):
    one, other = networks(2)
    run = Run(tmp_path, validations=[(100, round(one.miou, 2))])
    with pytest.raises(FileNotFoundError, match=f'not all of its runs and those of the baseline have {LAST}'):
        validated_images(run)
    write_image_confusion(tmp_path / LAST, other)
    with pytest.raises(ValueError, match=f'{LAST} has mIoU {other.miou:.2f}, but the last validation {one.miou:.2f}'):
        validated_images(run)
    write_image_confusion(tmp_path / TEST, one)  # of tools/test.py, for a run of an earlier version
    assert validated_images(run).miou == one.miou
