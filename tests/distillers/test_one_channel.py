"""Binary networks with one channel (sigmoid): every kind of distiller sees two classes."""

import functools
import logging

import numpy as np
import pytest
import torch
from branches import array, gradients, preprocessed, segmentor
from mmengine.structures import PixelData
from mmseg.registry import MODELS

from mmseg_kd.distillers import FrozenTeacher
from mmseg_kd.distillers.teacher import build_teachers
from mmseg_kd.testing.toys import toy_batch, toy_segmentor

SIGMOID = dict(type='CrossEntropyLoss', use_sigmoid=True)
TEMPERATURE = 3.0


def network(channels, base_channels=4, num_classes=2):
    """A binary network without dropout; of one channel, or of two."""
    model = segmentor(base_channels, num_classes=2)
    for head in (model.decode_head, model.auxiliary_head) if channels == 1 else ():
        head.update(num_classes=num_classes, threshold=0.4, loss_decode=SIGMOID)
        head.update(out_channels=1) if num_classes == 2 else None
    return model


def distiller(loss, student=1, teacher=1, paths='logits', kind='Distiller', **more):
    loss = dict(type=loss) if isinstance(loss, str) else loss
    model = dict(
        type=kind, student=network(student), terms=dict(loss_kd=dict(student=paths, teacher='logits', loss=loss))
    )
    if kind == 'Distiller':
        model['teacher'] = dict(model=network(teacher, 8))
    torch.manual_seed(0)
    return MODELS.build({**model, **more})


def batch(model, classes=2):
    data = model.data_preprocessor(toy_batch(num_classes=classes), True)
    return data['inputs'], data['data_samples']


def probability(network, images, train):
    """Of class 1, softened, by MMSegmentation's own modules: (N, h, w)."""
    network.train(train)
    z = array(network.decode_head(network.extract_feat(images))) / TEMPERATURE
    return 1 / (1 + np.exp(-z[:, 0])) if z.shape[1] == 1 else 1 / (1 + np.exp(z[:, 0] - z[:, 1]))


@pytest.mark.parametrize('student, teacher', [(1, 1), (1, 2), (2, 1)])
def test_the_pixel_wise_term_is_the_divergence_of_bernoulli_distributions(student, teacher):
    model = distiller(dict(type='PixelWiseKDLoss', temperature=TEMPERATURE), student, teacher)
    images, samples = batch(model)
    value = float(model.loss(images, samples)['loss_kd'].detach())
    p = probability(model.teachers[''].module, images, train=False)
    q = probability(model.student, images, train=True)
    expected = (p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))).mean() * TEMPERATURE**2
    assert value == pytest.approx(expected, rel=1e-4) and expected > 1e-5


LOGIT_LOSSES = [
    'ACELoss',
    'BPKDLoss',
    'CSCLoss',
    'CWDLoss',
    'ConsistencyKDLoss',
    'CosineDSDCategorySimilarityLoss',
    'DISTLoss',
    'DKDLoss',
    'ImageSemanticLoss',
    'PixelWiseKDLoss',
    'ProbabilityMSELoss',
    'PseudoLabelLoss',
]


@pytest.mark.parametrize(
    'loss',
    [
        *LOGIT_LOSSES,
        dict(type='OnConfident', threshold=0.5, loss=dict(type='PixelWiseKDLoss')),
        dict(type='OnClasses', only=[1], loss=dict(type='PixelWiseKDLoss')),
    ],
    ids=lambda loss: loss if isinstance(loss, str) else loss['type'],
)
@pytest.mark.parametrize('teacher', [1, 2])
def test_every_loss_between_logits_reaches_the_one_channel(loss, teacher):
    model = distiller(loss, teacher=teacher)
    value = model.loss(*batch(model))['loss_kd']
    value.backward()
    assert torch.isfinite(value) and 'student.decode_head.conv_seg.weight' in gradients(model)


@pytest.mark.parametrize('loss', ['HolisticKDLoss', 'HingeHolisticKDLoss'])
def test_critics_see_two_probabilities(loss):
    model = distiller(loss)
    losses = model.loss(*batch(model))
    assert model.terms['loss_kd'].critic.in_channels == 2
    losses['loss_kd'].backward()
    assert 'student.decode_head.conv_seg.weight' in gradients(model)


@pytest.mark.parametrize('kind', ['FAKDLoss', 'ChannelFAKDLoss'])
def test_a_classifier_with_one_output_is_one_with_two(kind):
    paths = ['prelogits', 'decode_head.conv_seg.weight', 'decode_head.conv_seg.bias']
    model = distiller(dict(type=kind, strength=0.0, temperature=TEMPERATURE), paths=paths)
    images, samples = batch(model)
    losses = model.loss(images, samples)
    p = probability(model.teachers[''].module, images, train=False)
    q = probability(model.student, images, train=True)
    counted = np.stack([sample.gt_sem_seg.data[0].numpy()[::8, ::8] for sample in samples]) != 255
    expected = (p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q)))[counted].mean() * TEMPERATURE**2
    if kind == 'FAKDLoss':  # the other compares over places
        assert float(losses['loss_kd'].detach()) == pytest.approx(expected, rel=1e-4)
    losses['loss_kd'].backward()
    assert 'student.decode_head.conv_seg.bias' in gradients(model)


def test_what_two_classes_cannot_teach_is_refused():
    with pytest.raises(ValueError, match='StandardizedKDLoss .* less than 3 channels, but got 2; take PixelWiseKDLoss'):
        distiller('StandardizedKDLoss')
    with pytest.raises(ValueError, match='inter alone has nothing to learn; set intra > 0'):
        distiller(dict(type='DISTLoss', intra=0.0))
    with pytest.raises(ValueError, match='beta alone has nothing to learn; set alpha > 0'):
        distiller(dict(type='DKDLoss', alpha=0.0))
    with pytest.raises(ValueError, match='PixelWiseKDLoss .* less than 2 channels, but got 1; read "logits"'):
        MODELS.build(
            dict(
                type='Distiller',
                student=network(1),
                teacher=dict(model=network(1)),
                terms=dict(
                    loss_kd=dict(
                        student='decode_head.conv_seg',
                        teacher='decode_head.conv_seg',
                        loss=dict(type='PixelWiseKDLoss'),
                    )
                ),
            )
        )


@pytest.mark.parametrize('loss, told', [('DISTLoss', 'inter has no gradient'), ('DKDLoss', 'beta has no effect')])
def test_what_two_classes_leave_without_effect_is_said(monkeypatch, loss, told):
    import mmseg_kd.losses.dist_loss as dist_loss
    import mmseg_kd.losses.dkd_loss as dkd_loss

    said = []
    for module in (dist_loss, dkd_loss):
        monkeypatch.setattr(module, 'print_log', lambda text, *args: said.append((text, args[-1])))
    distiller(loss)
    assert len(said) == 1 and told in said[0][0] and said[0][1] == logging.WARNING


@pytest.mark.parametrize('num_classes', [1, 2])
def test_labels_are_0_and_1_whether_the_config_counts_one_class_or_two(num_classes):
    build = functools.partial(
        MODELS.build,
        dict(
            type='Distiller',
            student=network(1, num_classes=num_classes),
            teacher=dict(model=network(2)),
            terms=dict(loss_ace=dict(student='logits', teacher='logits', loss=dict(type='ACELoss'))),
        ),
    )
    model = build()
    assert model.num_classes == num_classes and model.label_classes == model.terms['loss_ace'].loss.classes == 2
    assert torch.isfinite(model.loss(*batch(model))['loss_ace'])
    with pytest.raises(ValueError, match=r'labels must lie in 0\.\.1'):
        build().loss(*batch(model, classes=3))


def test_classes_that_differ_are_counted_as_two():
    with pytest.raises(ValueError, match='the student has 2 and the teacher 4'):
        MODELS.build(
            dict(
                type='Distiller',
                student=network(1),
                teacher=dict(model=toy_segmentor(4)),
                terms=dict(loss_kd=dict(student='logits', teacher='logits', loss=dict(type='PixelWiseKDLoss'))),
            )
        )


def test_an_ensemble_answers_with_the_mean_probability():
    torch.manual_seed(0)
    teacher = build_teachers([dict(model=network(1)), dict(model=network(2, 8))])['']
    images = torch.randn(2, 3, 32, 32)
    answer = teacher.read(images, ['logits'])['logits']
    with torch.no_grad():
        one, two = (member.module(images, mode='tensor') for member in teacher.members)
    expected = (one.sigmoid()[:, 0] + two.softmax(1)[:, 1]) / 2
    torch.testing.assert_close(answer.softmax(1)[:, 1], expected)


@pytest.mark.parametrize(
    'kind, loss', [('CrossPseudoSupervision', 'PseudoLabelLoss'), ('MeanTeacher', 'ProbabilityMSELoss')]
)
def test_students_that_teach_each_other_or_themselves(kind, loss):
    term = dict(student='logits', teacher='unmixed.logits', loss=dict(type=loss))
    model = distiller(loss, kind=kind, terms=None, unlabeled_terms=dict(loss_u=term), mix=dict(type='Halves'))
    inputs, samples = preprocessed(model, num_classes=2)
    losses = model.loss(inputs, samples)
    own = [value for name, value in losses.items() if 'loss_u' in name]
    assert all(value > 0 for value in own)
    sum(own).backward()
    assert 'student.decode_head.conv_seg.weight' in gradients(model)


def test_soft_labels_of_two_classes_teach_one_channel():
    model = distiller(dict(type='PixelWiseKDLoss', temperature=TEMPERATURE), kind='SoftLabelDistiller')
    images, samples = batch(model)
    p = 0.1 + 0.8 * torch.rand(2, 4, 4, generator=torch.Generator().manual_seed(0))
    for sample, shares in zip(samples, p):
        both = torch.stack([1 - shares, shares]).sort(0, descending=True)
        sample.soft_labels = PixelData(
            metainfo=dict(stride=8), classes=both.indices.byte(), shares=torch.cat([both.values, torch.zeros(1, 4, 4)])
        )
        sample.gt_sem_seg.data.fill_(1)
    value = float(model.loss(images, samples)['loss_kd'].detach())
    q = probability(model.student, images, train=True)
    soft = p.numpy() ** (1 / TEMPERATURE) / (p.numpy() ** (1 / TEMPERATURE) + (1 - p.numpy()) ** (1 / TEMPERATURE))
    expected = (soft * np.log(soft / q) + (1 - soft) * np.log((1 - soft) / (1 - q))).mean() * TEMPERATURE**2
    assert value == pytest.approx(expected, rel=1e-3)


def test_module_paths_keep_the_one_channel():
    teacher = FrozenTeacher(model=network(1))
    read = teacher.read(torch.randn(1, 3, 32, 32), ['decode_head', 'decode_head.conv_seg', 'auxiliary_head', 'logits'])
    assert [read[path].shape[1] for path in ('decode_head', 'decode_head.conv_seg', 'auxiliary_head', 'logits')] == [
        1,
        1,
        1,
        2,
    ]
