import numpy as np
import pytest
import torch

from mmseg_kd.labeling import agreement, judge


def test_quality_is_that_of_one_confusion_matrix_over_all_images():
    labels = [np.array([[0, 1], [2, 255]]), np.array([[0, 0, 1]])]
    truth = [np.array([[0, 1], [1, 0]]), np.array([[0, 1, 255]])]
    quality = judge(zip(labels, truth), ('x', 'y', 'z', 'nowhere'))
    # Judged: 0-0, 1-1, 2-1, 0-0, 0-1. x: 2 of 3; y: 1 of 3; z: 0 of 1.
    assert quality.iou == pytest.approx(dict(x=200 / 3, y=100 / 3, z=0, nowhere=float('nan')), nan_ok=True)
    assert quality.miou == pytest.approx(100 / 3) and quality.accuracy == pytest.approx(60)
    assert quality.judged == pytest.approx(100 * 5 / 7)
    # F1, 2 x hits / (labeled + predicted). x: 4 of 5; y: 2 of 4; z: 0.
    assert quality.fscore == pytest.approx((80 + 50 + 0) / 3)


def test_nothing_to_judge_is_nan():
    quality = judge([(np.array([[255]]), np.array([[0]]))], ('x',))
    assert np.isnan(quality.miou) and np.isnan(quality.fscore) and np.isnan(quality.accuracy) and quality.judged == 0


def test_maps_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match='must have the same size'):
        judge([(np.zeros((1, 2), int), np.zeros((2, 1), int))], ('x',))
    with pytest.raises(ValueError, match=r'must lie in 0..0 or be 255 \(ignored\), but an image holds 0..3'):
        judge([(np.zeros((1, 1), int), np.full((1, 1), 3))], ('x',))


def test_agreement_counts_pixels():
    first = {'a': torch.eye(2)[:, None], 'b': torch.tensor([[[0.9]], [[0.1]]])}
    second = {'a': torch.eye(2)[:, None].flip(2), 'b': torch.tensor([[[0.6]], [[0.4]]])}
    assert agreement(first.get, second.get, ['a', 'b']) == pytest.approx(100 / 3)


def test_mean_f1_is_that_of_the_metric_of_mmsegmentation():
    from mmseg.evaluation import IoUMetric

    random = np.random.default_rng(0)
    labels, truth = random.integers(0, 4, (2, 5, 7))
    truth[0, :3] = 255
    metric = IoUMetric(iou_metrics=['mIoU', 'mFscore'])
    metric.dataset_meta = dict(classes=('a', 'b', 'c', 'd'))
    areas = metric.intersect_and_union(torch.from_numpy(labels), torch.from_numpy(truth), 4, 255)
    expected = metric.compute_metrics([areas])
    quality = judge([(np.where(truth == 255, 255, labels), truth)], ('a', 'b', 'c', 'd'))
    assert (round(quality.miou, 2), round(quality.fscore, 2)) == (expected['mIoU'], expected['mFscore'])
