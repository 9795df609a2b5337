from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from samples import torch

from mmseg_kd.evaluation import ImageIoUMetric, evaluate, predictions


def images():
    return [dict(inputs=torch.tensor(i), data_samples=SegDataSample()) for i in range(4)]


def predict(batch):
    assert not torch.is_grad_enabled()
    (sample,), (image,) = batch['data_samples'], batch['inputs']
    sample.set_data(
        dict(
            pred_sem_seg=PixelData(data=image.reshape(1, 1, 1) % 2),
            gt_sem_seg=PixelData(data=torch.zeros(1, 1, 1, dtype=torch.long)),
        )
    )
    return [sample]


def test_predictions_come_in_the_order_of_the_indices():
    found = [int(sample.pred_sem_seg.data) for sample in predictions(predict, images(), [3, 0, 2])]
    assert found == [1, 0, 0] and len(list(predictions(predict, images()))) == 4


def test_gradients_are_as_before_between_predictions():
    for _ in predictions(predict, images()):
        assert torch.is_grad_enabled()


def test_all_metrics_see_all_samples_and_progress_is_reported():
    first, second, told = ImageIoUMetric(), ImageIoUMetric(prefix='again'), []
    found = evaluate(predictions(predict, images()), [first, second], dict(classes='ab'), told.append)
    assert found['image_mIoU'] == found['again/image_mIoU'] == 50 and told == [1, 2, 3, 4]


def test_one_of_several_processes_evaluates_alone(monkeypatch):
    monkeypatch.setattr('mmengine.evaluator.metric.collect_results', None)  # it would wait for the others
    metric = ImageIoUMetric()
    assert evaluate(predictions(predict, images()), metric, dict(classes='ab'))['image_mIoU'] == 50
    assert len(metric.images) == 4 and not metric.results
