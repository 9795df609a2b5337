import copy

import numpy as np
import pytest
import torch
from cached_distillation import batch_of, cache, with_cache, write_config
from mmengine.structures import PixelData
from mmseg.models.losses import BoundaryLoss
from mmseg.registry import MODELS

from mmseg_kd.distillers import LabelingDistiller, PathError
from mmseg_kd.distillers.side_stream import SideStream
from mmseg_kd.io.errors import ConfigError
from mmseg_kd.testing.toys import toy_batch, toy_segmentor

TERM = dict(student='logits', teacher='logits', loss=dict(type='CWDLoss', temperature=4.0), weight=1.0)
WEIGHTS = [0.5, 1.0, 2.0, 4.0]


def weighted(**settings):
    """A student whose decode head has class weights."""
    student = toy_segmentor(4, **settings)
    student.decode_head.loss_decode.class_weight = WEIGHTS
    return student


def build(student=None, teacher=None, terms=None, **settings):
    torch.manual_seed(0)
    teacher = teacher or dict(model=toy_segmentor(8))
    model = LabelingDistiller(student or weighted(), teacher, terms or dict(loss_cwd=TERM), **settings)
    for network in [member.module for one in model.teachers.values() for member in one.members]:
        torch.nn.init.normal_(network.decode_head.conv_seg.weight, std=30.0)  # classes differ from pixel to pixel
    model.student.decode_head.dropout = model.student.auxiliary_head.dropout = None
    return model


def batch(model):
    """Two labeled images, and two without labels, of which the second has padding and a stripe of labels."""
    data = toy_batch(num=4, size=28)  # padded to 32 by the preprocessor
    for sample in data['data_samples'][2:]:
        sample.gt_sem_seg.data = torch.full((1, 28, 28), 254, dtype=torch.uint8)
    data['data_samples'][3].gt_sem_seg.data[:, :5] = 255
    data['data_samples'][3].gt_sem_seg.data[:, 5:9] = 1
    return model.data_preprocessor(data, True)


def teacher_classes(logits, size):
    """The most probable class of each pixel; logits (C, h, w) are resized in float64, one pixel after the other."""
    logits = logits.double().numpy()
    places = []
    for whole, part in zip(size, logits.shape[1:]):
        at = np.clip((np.arange(whole) + 0.5) * part / whole - 0.5, 0, None)
        low = np.minimum(at.astype(int), part - 1)
        places.append((low, np.minimum(low + 1, part - 1), at - low))
    (top, bottom, y), (left, right, x) = places
    y = y[:, None]
    upper = (1 - x) * logits[:, top][:, :, left] + x * logits[:, top][:, :, right]
    lower = (1 - x) * logits[:, bottom][:, :, left] + x * logits[:, bottom][:, :, right]
    return ((1 - y) * upper + y * lower).argmax(0)


def filled_by_hand(model, data):
    logits = model.teachers[''].read(data['inputs'], ['logits'])['logits']
    samples = copy.deepcopy(data['data_samples'])
    for sample, one in zip(samples, logits):
        labels = sample.gt_sem_seg.data[0].numpy()
        labels[labels == 254] = teacher_classes(one, labels.shape)[labels == 254]
    return samples


def test_all_losses_learn_the_teachers_classes_where_labels_are_unknown():
    model = build(terms=dict(loss_cwd=TERM, loss_dkd=dict(TERM, loss=dict(type='DKDLoss'))))
    data = batch(model)
    filled = filled_by_hand(model, data)
    labels = torch.stack([sample.gt_sem_seg.data[0] for sample in filled])
    assert len(labels[2].unique()) > 2 and labels[3].unique().tolist()[-1] == 255  # classes, and padding
    given = copy.deepcopy(data['data_samples'])
    losses = model(**data, mode='loss')
    plain = build(terms=dict(loss_cwd=TERM, loss_dkd=dict(TERM, loss=dict(type='DKDLoss'))))
    plain.load_state_dict(model.state_dict())
    plain.teachers = model.teachers
    expected = plain(data['inputs'], filled, mode='loss')  # nothing is unknown there
    assert losses.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(losses[name], value), name
    for before, after in zip(given, data['data_samples']):  # a second pass over a batch is not another
        assert torch.equal(before.gt_sem_seg.data, after.gt_sem_seg.data)


def test_labels_and_padding_stay_as_they_are():
    model = build()
    data = batch(model)
    outputs = model._teacher_outputs(data['inputs'], data['data_samples'], [])
    filled = model._with_labels(data['data_samples'], outputs)
    for n, (sample, given) in enumerate(zip(filled, data['data_samples'])):
        labels, before = sample.gt_sem_seg.data, given.gt_sem_seg.data
        assert labels.shape == before.shape and labels.dtype == before.dtype
        assert torch.equal(labels[before != 254], before[before != 254]) and labels[before == 254].le(3).all(), n
        assert sample.metainfo == given.metainfo and set(sample.keys()) == set(given.keys())


def test_edges_of_unknown_labels_are_ignored():
    model = build()
    data = batch(model)
    for sample in data['data_samples']:
        sample.gt_edge_map = PixelData(data=torch.zeros(1, 32, 32, dtype=torch.uint8))
        sample.gt_edge_map.data[:, 5:7] = 1
    outputs = model._teacher_outputs(data['inputs'], data['data_samples'], [])
    logits = torch.randn(1, 1, 32, 32)
    for sample, given in zip(model._with_labels(data['data_samples'], outputs), data['data_samples']):
        unknown = given.gt_sem_seg.data == 254
        assert torch.equal(sample.gt_edge_map.data == 255, unknown) and given.gt_edge_map.data.max() == 1
        loss = BoundaryLoss()(logits, sample.gt_edge_map.data)
        assert loss == BoundaryLoss()(logits * ~unknown, sample.gt_edge_map.data)


def test_the_gradient_reaches_the_student_only():
    model = build()
    sum(value for name, value in model(**batch(model), mode='loss').items() if 'loss' in name).backward()
    assert all(p.grad is not None for p in model.student.parameters())
    assert all(p.grad is None for p in model.teachers[''].module.parameters())


def test_all_unknown_in_half_precision():
    model = build()
    data = batch(model)
    for sample in data['data_samples']:
        sample.gt_sem_seg.data.fill_(254)
    with torch.autocast('cpu', torch.bfloat16):
        losses = model(**data, mode='loss')
    assert losses['decode.loss_ce'] > 0 and all(value.isfinite().all() for value in losses.values())


def test_one_of_several_teachers_labels():
    teachers = dict(deep=dict(model=toy_segmentor(8)), wide=dict(model=toy_segmentor(6)))
    model = build(teacher=teachers, terms=dict(loss_cwd=dict(TERM, teacher='deep.logits')), labels_from='wide.logits')
    assert model.teacher_paths == ['deep.logits', 'wide.logits']
    data = batch(model)
    outputs = model._teacher_outputs(data['inputs'], data['data_samples'], ['deep.logits'])
    filled = model._with_labels(data['data_samples'], outputs)
    expected = teacher_classes(outputs['wide.logits'][2], (32, 32))
    known = data['data_samples'][2].gt_sem_seg.data[0] == 254
    assert np.array_equal(filled[2].gt_sem_seg.data[0][known].numpy(), expected[known])
    with pytest.raises(ValueError, match='must start with the name of a teacher: deep.logits, wide.logits'):
        build(teacher=teachers, terms=dict(loss_cwd=dict(TERM, teacher='deep.logits')))


def test_a_network_with_one_channel_labels_with_two_classes():
    teacher = toy_segmentor(8, num_classes=2)
    teacher.decode_head.update(out_channels=1, threshold=0.5)
    teacher.decode_head.loss_decode.use_sigmoid = True
    student = toy_segmentor(4, num_classes=2)
    model = build(student, dict(model=teacher))
    data = batch(model)
    outputs = model._teacher_outputs(data['inputs'], data['data_samples'], [])
    filled = model._with_labels(data['data_samples'], outputs)
    assert filled[2].gt_sem_seg.data.unique().tolist() == [0, 1, 255]


def test_the_students_losses_wait_for_a_teacher_on_its_own_stream():
    joined = []

    class Stream(SideStream):
        def join(self):
            joined.append('wait')

    model = build()
    data = batch(model)
    model.teachers[''].stream = Stream()
    model.student.register_forward_pre_hook(lambda *_: joined.append('student'))
    model(**data, mode='loss')
    assert joined == ['wait', 'student', 'wait']


def test_a_teacher_that_does_not_know_all_classes_cannot_label():
    mapped = dict(model=toy_segmentor(8, num_classes=5), class_map={'a': 0, 'b': [1, 3], 'c': [], 'd': 2})
    with pytest.raises(ConfigError, match='model.labels_from: .* all 4 classes of the student, but logits has 3; take'):
        build(toy_segmentor(4), mapped)
    features = dict(loss_hint=dict(student='prelogits', teacher='prelogits', loss=dict(type='HintLoss')))
    with pytest.raises(ConfigError, match='model.labels_from: .* but logits has 5'):
        build(toy_segmentor(4), dict(model=toy_segmentor(8, num_classes=5)), features)


def test_a_path_that_does_not_exist_is_refused_with_its_key():
    with pytest.raises(PathError, match='model.labels_from: .*nowhere'):
        build(labels_from='decode_head.nowhere')


@pytest.mark.parametrize('change', [dict(num_classes=255), dict(ignore_index=254)])
def test_254_must_be_free(change):
    student, teacher = toy_segmentor(4), toy_segmentor(4)
    for network in (student, teacher):
        network.decode_head.update(change)
        network.auxiliary_head.update(change)
    with pytest.raises(ConfigError, match='254 marks pixels without labels .* use a Distiller'):
        LabelingDistiller(student, dict(model=teacher), dict(loss_cwd=TERM))


def test_other_distillers_refuse_unknown_labels():
    config = dict(type='Distiller', student=weighted(), teacher=dict(model=toy_segmentor(8)), terms=dict(loss_cwd=TERM))
    model = MODELS.build(config)
    with pytest.raises(ConfigError, match='model.type must be LabelingDistiller for images of LoadUnknownAnnotations'):
        model(**batch(model), mode='loss')


@pytest.mark.parametrize('features_only', [False, True])
def test_a_cache_holds_the_logits_that_label(tmp_path, features_only):
    config = write_config(tmp_path)
    config.model.type = 'LabelingDistiller'
    if features_only:
        config.model.terms = {'loss_hint': config.model.terms.loss_hint}
    pipeline = config.train_dataloader.dataset.pipeline
    pipeline[1] = dict(type='LoadUnknownAnnotations')
    cached = with_cache(config, cache(config, tmp_path / 'cache'))
    models = []
    for each in (config, cached):
        torch.manual_seed(0)
        models.append(MODELS.build(each.model))
    models[1].load_state_dict(models[0].state_dict())
    data = models[0].data_preprocessor(batch_of(config, views=2), True)
    losses = []
    for model in models:
        model.student.decode_head.dropout = model.student.auxiliary_head.dropout = None
        losses.append(model(**data, mode='loss'))
    assert losses[0]['decode.loss_ce'] > 0
    for name, value in losses[0].items():
        assert torch.allclose(value, losses[1][name], rtol=2e-3), name
