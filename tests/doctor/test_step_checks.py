import copy
import io

import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from torch.utils.data import DataLoader

from mmseg_kd.distillers import Distiller, LabelingDistiller
from mmseg_kd.doctor.diagnosis import Diagnosis
from mmseg_kd.doctor.loss_parts import read_parts
from mmseg_kd.doctor.step_checks import (
    check_batch,
    check_losses,
    check_model,
    check_optimizer,
    check_unlabeled,
    check_unused,
)
from mmseg_kd.testing.toys import toy_batch, toy_segmentor

SGD = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1))


@pytest.fixture(scope='module')
def model():
    torch.manual_seed(0)
    return MODELS.build(toy_segmentor(4, auxiliary=False))


def line(check, *args):
    """The only finding of a check, with its status."""
    out = io.StringIO()
    Diagnosis(out).run('check', check, *args)
    (text,) = out.getvalue().splitlines()
    return text[:8].strip(), text[28:]


def test_the_model_and_its_optimizer_are_built(model):
    config = Config(dict(model=toy_segmentor(4, auxiliary=False), optim_wrapper=SGD))
    assert line(check_model, config, 'cpu', None) == ('ok', 'EncoderDecoder, built and initialized')
    assert line(check_optimizer, config, model) == ('ok', 'OptimWrapper with SGD (learning rate 0.1)')
    assert line(check_optimizer, Config(), model)[1].startswith('there is no optim_wrapper; add one')


def test_a_batch_is_described_or_refused(model):
    status, text = line(check_batch, model, [toy_batch(num=2, size=32)], 4, 255)
    # Two of 32 rows are ignored.
    assert status == 'ok' and '2x3x32x32' in text and 'labels 6 % ignored' in text
    status, text = line(check_batch, model, [toy_batch(num_classes=6)], 4, 255)
    assert status == 'failed' and 'labels of a batch must lie in 0..3 or be 255 (ignored), but lie in 0..5' in text
    unknown = toy_batch()
    unknown['data_samples'][1].gt_sem_seg.data[:] = 254
    assert 'model.type must be LabelingDistiller' in line(check_batch, model, [unknown], 4, 255)[1]
    broken = toy_batch()
    broken['inputs'] = [image * float('nan') for image in broken['inputs']]
    assert 'the images of a batch must be finite, but are not' in line(check_batch, model, [broken], 4, 255)[1]


def test_the_losses_of_a_segmentor_are_named(model):
    config = Config(dict(train_cfg=dict(max_iters=2)))
    status, text = line(check_losses, config, model, [toy_batch()], toy_batch())
    assert status == 'ok' and text.startswith('decode.loss_ce ')


@pytest.mark.parametrize('options, status', [({}, 'failed'), (dict(find_unused_parameters=True), 'warning')])
def test_an_unused_parameter_is_named(model, options, status):
    assert line(check_unused, Config(options), model, toy_batch(), True)[0] == 'ok'
    model.spare = torch.nn.Parameter(torch.zeros(3))
    found, text = line(check_unused, Config(options), model, toy_batch(), True)
    del model.spare
    assert found == status and '(3 numbers) get no gradient: model.spare; DDP' in text


def loader_of(*batches):
    samples = [{key: value[0] for key, value in batch.items()} for batch in batches]
    return DataLoader(samples, collate_fn=pseudo_collate)


class NoClassAnywhere(torch.nn.Module):
    """A loss that takes ignored pixels for pixels of no class."""

    loss_name = 'loss_none'

    def forward(self, logits, labels, weight=None, ignore_index=255):
        return logits.square().mean()


def test_losses_that_learn_from_ignored_pixels_are_named(model):
    known, void = toy_batch(num=1), toy_batch(num=1)
    void['data_samples'][0].gt_sem_seg.data.fill_(255)
    config = Config(dict(train_dataloader=dict(dataset=dict(pipeline=[dict(type='LoadVoidAnnotations')]))))
    for order in ((known, void), (void, known)):
        status, text = line(check_unlabeled, config, model, loader_of(*order), 255)
        assert status == 'ok' and text.startswith('only terms learn from images without labels')
    assert line(check_unlabeled, config, model, loader_of(known), 255)[0] == 'skipped'
    boundaries = toy_segmentor(4, auxiliary=False)
    boundaries.decode_head.loss_decode = [dict(type='CrossEntropyLoss'), dict(type=NoClassAnywhere)]
    status, text = line(check_unlabeled, config, MODELS.build(boundaries), loader_of(known, void), 255)
    assert status == 'failed' and text.startswith('decode.loss_none is ') and 'on images of ignored pixels' in text


def test_terms_that_read_labels_are_named_where_images_have_none():
    known, void = toy_batch(num=1), toy_batch(num=1)
    void['data_samples'][0].gt_sem_seg.data.fill_(255)
    config = Config(dict(train_dataloader=dict(dataset=dict(pipeline=[dict(type='LoadVoidAnnotations')]))))

    def told(measured=True, **terms):
        model = Distiller(
            toy_segmentor(4, auxiliary=False),
            dict(model=toy_segmentor(4, auxiliary=False)),
            {
                name: dict(student='logits', teacher='logits', loss=dict(type=loss), weight=weight)
                for name, (loss, weight) in terms.items()
            },
        )
        model.move_terms(0, 10)
        if measured:
            read_parts(model, toy_batch())  # an earlier check does this
        return line(check_unlabeled, config, model, loader_of(known, void), 255)

    share = dict(type='GradientShare', share=0.3)
    for weight in (1.0, share):
        status, text = told(loss_dkd=('DKDLoss', weight), loss_bpkd=('BPKDLoss', 1.0))
        assert status == 'failed' and 'the losses of loss_dkd and loss_bpkd read labels; add' in text
    status, text = told(loss_dkd=('DKDLoss', share), loss_pi=('PixelWiseKDLoss', 1.0))
    assert status == 'warning' and text.startswith('the losses of loss_dkd read labels, so they learn from')
    assert told(loss_pi=('PixelWiseKDLoss', share))[0] == 'ok'
    # A term that has not begun, or whose share was not measured, cannot be judged.
    assert told(loss_pi=('PixelWiseKDLoss', share), measured=False)[0] == 'ok'
    later = dict(type='DelayedWeight', weight=1.0, begin=5)
    assert told(loss_pi=('PixelWiseKDLoss', later))[0] == 'ok'


def test_images_that_the_teacher_labels_teach_the_student_but_not_through_ignored_pixels():
    known, unknown = toy_batch(num=1), toy_batch(num=1)
    unknown['data_samples'][0].gt_sem_seg.data.fill_(254)
    unknown['data_samples'][0].gt_sem_seg.data[:, :3] = 255
    config = Config(dict(train_dataloader=dict(dataset=dict(pipeline=[dict(type='LoadUnknownAnnotations')]))))
    # This loss reads labels, which the teacher gives.
    terms = dict(loss_dkd=dict(student='logits', teacher='logits', loss=dict(type='DKDLoss')))

    def told(student, classes=4):
        model = LabelingDistiller(student, dict(model=toy_segmentor(4, num_classes=classes, auxiliary=False)), terms)
        return line(check_unlabeled, config, model, loader_of(known, copy.deepcopy(unknown)), 255)

    model = LabelingDistiller(toy_segmentor(4, auxiliary=False), dict(model=toy_segmentor(4, auxiliary=False)), terms)
    batch = dict(known, inputs=known['inputs'] + unknown['inputs'])
    batch['data_samples'] = copy.deepcopy(known['data_samples'] + unknown['data_samples'])
    status, text = line(check_batch, model, [batch], 4, 255)
    assert status == 'ok' and 'labels 8 % ignored, 45 % left to the teacher' in text
    assert told(toy_segmentor(4, auxiliary=False)) == (
        'ok',
        "the student learns the teacher's classes from images without labels",
    )
    # A loss that takes ignored pixels for pixels of no class has none to take, unless a transform made them.
    objects = toy_segmentor(4, auxiliary=False)
    objects.decode_head.loss_decode = [dict(type='CrossEntropyLoss'), dict(type=NoClassAnywhere)]
    assert told(objects)[0] == 'ok'
    # MMSegmentation's binary cross-entropy fails for images of ignored pixels, which the teacher leaves none of.
    binary = toy_segmentor(4, num_classes=2, auxiliary=False)
    binary.decode_head.update(out_channels=1, threshold=0.5)
    binary.decode_head.loss_decode.use_sigmoid = True
    assert told(binary, classes=2)[0] == 'ok'
    unknown['data_samples'][0].gt_distance_map = PixelData(data=torch.zeros(1, 32, 32))
    assert told(toy_segmentor(4, auxiliary=False)) == (
        'ok',
        "the student learns the teacher's classes from images without labels, and not gt_distance_map",
    )
    status, text = told(objects)
    assert status == 'failed' and text.startswith('decode.loss_none is ') and 'images of ignored pixels' in text


def test_where_no_image_is_unlabeled_nothing_is_checked(model):
    out = io.StringIO()
    Diagnosis(out).run('check', check_unlabeled, Config(), model, loader_of(toy_batch(num=1)), 255)
    assert not out.getvalue()
