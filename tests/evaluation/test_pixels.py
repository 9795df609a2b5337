import pytest
import torch
from samples import sample

from mmseg_kd.evaluation.pixels import PixelMetric, label_maps, sample_logits


def test_ignored_labels_become_255_and_255_stays():
    predicted, labels = label_maps(sample(labels=[0, 7, 255], predicted=[1.0, 0.0, 0.0]), ignore_index=7)
    assert predicted.tolist() == [[1, 0, 0]] and predicted.dtype == torch.long and labels.tolist() == [[0, 255, 255]]


def test_a_sample_without_labels_is_refused():
    with pytest.raises(ValueError, match=r"must load the labels.* put dict\(type='LoadAnnotations'\)"):
        label_maps(sample(predicted=[0]))


@pytest.mark.parametrize(
    'maps, probabilities, expected',
    [
        ([[[2.0]], [[0.0]]], False, [0.8808, 0.1192]),
        ([[[0.2]], [[0.6]]], True, [0.25, 0.75]),
        ([[[0.3]]], False, [0.7, 0.3]),
        ([[[1.0]]], False, [0.0, 1.0]),
    ],
)
def test_logits_of_each_kind_of_output(maps, probabilities, expected):
    shares = sample_logits(sample(maps, predicted=[0]), probabilities).softmax(0)
    assert shares.flatten().tolist() == pytest.approx(expected, abs=1e-4)


def test_classes_are_those_of_the_data_set():
    class Metric(PixelMetric):
        process = compute_metrics = None

    metric = Metric()
    metric.dataset_meta = dict(classes=('a', 'b'))
    assert metric.classes == ['a', 'b'] and metric.ignore_index == 255
