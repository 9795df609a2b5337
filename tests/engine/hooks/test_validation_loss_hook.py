import json
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from mmengine.evaluator import BaseMetric
from mmengine.structures import PixelData
from mmseg.models.utils import resize
from mmseg.registry import HOOKS, MODELS
from mmseg.structures import SegDataSample
from torch import nn

from mmseg_kd.engine import ValidationLossHook
from mmseg_kd.testing.toys import ToyDataset, toy_runner, toy_segmentor

IMAGES = 3


class Nothing(BaseMetric):
    def process(self, data_batch, data_samples):
        self.results.append(0)

    def compute_metrics(self, results):
        return dict(mIoU=1.0)


def run(work_dir, model, *hooks):
    runner = toy_runner(
        model,
        work_dir,
        max_iters=2,
        train_cfg=dict(by_epoch=False, max_iters=2, val_interval=1),
        val_dataloader=dict(
            dataset=ToyDataset(IMAGES), batch_size=1, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False)
        ),
        val_cfg=dict(),
        val_evaluator=[Nothing()],
        custom_hooks=list(hooks),
    )
    runner.train()
    return runner


def expected(student, weight=1.0):
    """The mean over the images of the mean over the pixels of the cross-entropy of what is predicted."""
    values = []
    for index in range(IMAGES):
        item = ToyDataset(IMAGES)[index]
        batch = {key: [value] for key, value in item.items()}
        data = student.eval().data_preprocessor(batch, False)
        labels = item['data_samples'].gt_sem_seg.data
        with torch.no_grad():
            logits = student(data['inputs'], mode='tensor')
            logits = resize(logits, labels.shape[1:], mode='bilinear', align_corners=False)
        values.append(F.cross_entropy(logits, labels.long(), ignore_index=255, reduction='none').mean())
    return weight * float(torch.stack(values).mean())


def test_logs_the_mean_loss_of_the_validated_prediction(tmp_path):
    model = toy_segmentor(4)
    model.decode_head.loss_decode.loss_weight = 0.7
    runner = run(tmp_path, model, dict(type='ValidationLossHook'))
    logged = runner.message_hub.get_scalar('val/val_loss').current()
    assert logged == pytest.approx(expected(runner.model, 0.7), rel=1e-4)
    (scalars,) = tmp_path.glob('*/vis_data/scalars.json')
    validations = [entry for entry in map(json.loads, scalars.read_text().splitlines()) if 'mIoU' in entry]
    assert len(validations) == 2 and all({'val_loss', 'val_loss_ce'} <= entry.keys() for entry in validations)
    assert validations[-1]['val_loss'] == pytest.approx(expected(runner.model, 0.7), abs=1e-4)


def test_of_a_distiller_it_is_the_students_own_and_training_is_the_same_without(tmp_path):
    model = dict(
        type='Distiller',
        student=toy_segmentor(4),
        teacher=dict(model=toy_segmentor(8)),
        terms=dict(loss_pi=dict(student='logits', teacher='logits', loss=dict(type='PixelWiseKDLoss'))),
    )
    torch.manual_seed(0)
    runner = run(tmp_path / 'with', model, dict(type='ValidationLossHook'))
    logged = runner.message_hub.get_scalar('val/val_loss').current()
    assert logged == pytest.approx(expected(runner.model.student), rel=1e-4)
    without = run(tmp_path / 'without', model)
    states = (each.model.state_dict().values() for each in (runner, without))
    assert all(torch.equal(a, b) for a, b in zip(*states))


class Model(nn.Module):
    def __init__(self, head):
        super().__init__()
        self.decode_head = head


def head_of(**changes):
    return MODELS.build(dict(toy_segmentor(4).decode_head, **changes))


def after_one_image(head, logits, labels):
    sample = SegDataSample(seg_logits=PixelData(data=logits), gt_sem_seg=PixelData(data=labels))
    hook, runner, metrics = ValidationLossHook(), SimpleNamespace(model=Model(head)), {}
    hook.before_val_epoch(runner)
    hook.after_val_iter(runner, 0, outputs=[sample])
    hook.after_val_epoch(runner, metrics)
    return metrics


def test_of_one_channel_the_logits_are_found_again():
    loss = dict(type='CrossEntropyLoss', use_sigmoid=True)
    head = head_of(num_classes=2, out_channels=1, threshold=0.5, loss_decode=loss)
    logits, labels = torch.tensor([[[-1.0, 2.0], [0.5, 0.0]]]), torch.tensor([[[0, 1], [1, 0]]])
    found = after_one_image(head, logits.sigmoid(), labels)  # as MMSegmentation's prediction
    by_hand = F.binary_cross_entropy_with_logits(logits, labels.float())
    assert found['val_loss'] == pytest.approx(float(by_hand), rel=1e-4)


def test_the_last_head_of_a_cascade_is_the_one_that_predicts():
    heads = nn.ModuleList([head_of(), head_of(loss_decode=dict(type='CrossEntropyLoss', loss_weight=2.0))])
    logits, labels = torch.zeros(4, 2, 2), torch.zeros(1, 2, 2, dtype=torch.long)
    assert after_one_image(heads, logits, labels)['val_loss'] == pytest.approx(2 * 1.3862944)  # 2 ln 4


def test_a_head_whose_loss_needs_more_is_refused_before_training():
    class Other(type(head_of())):
        def loss_by_feat(self, seg_logits, batch_data_samples):
            raise AssertionError

    head = head_of()
    head.__class__ = Other
    with pytest.raises(
        ValueError, match='^ValidationLossHook needs a decode head whose loss depends only on its output, but Other'
    ):
        HOOKS.build(dict(type='ValidationLossHook')).before_train(SimpleNamespace(model=Model(head)))


def test_images_without_labels_are_one_line():
    hook, sample = ValidationLossHook(), SegDataSample()
    runner = SimpleNamespace(model=Model(head_of()))
    hook.before_val_epoch(runner)
    with pytest.raises(ValueError, match='put LoadAnnotations into the pipeline of val_dataloader.dataset'):
        hook.after_val_iter(runner, 0, outputs=[sample])
