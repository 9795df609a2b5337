import copy

import numpy as np
import pytest
import torch
from branches import (
    array,
    count_runs,
    cross_entropy,
    features_and_logits,
    gradients,
    halves,
    optimizer,
    preprocessed,
    regions,
    segmentor,
)
from mmseg.models import SegDataPreProcessor
from mmseg.registry import MODELS

from mmseg_kd.distillers import CutMix, PathError, SemiSupervisedDistiller
from mmseg_kd.testing.toys import toy_batch

PSEUDO = dict(student='logits', teacher='logits', loss=dict(type='PseudoLabelLoss'))
REGION = dict(
    student='decode_head.bottleneck',
    teacher='wide.decode_head.bottleneck',
    loss=dict(type='RegionContentLoss', grid=2),
    weight=50.0,
)
MGD = dict(
    type='MultiGranularityDistiller',
    student=segmentor(4),
    teacher=dict(deep=dict(model=segmentor(8)), wide=dict(model=segmentor(6))),
    terms=dict(loss_p_deep=dict(PSEUDO, teacher='deep.logits'), loss_p_wide=dict(PSEUDO, teacher='wide.logits')),
    unlabeled_terms=dict(
        loss_u_deep=dict(PSEUDO, teacher='deep.unmixed.logits', weight=0.5),
        loss_u_wide=dict(PSEUDO, teacher='wide.unmixed.logits'),
        loss_image=dict(student='logits', teacher='deep.logits', loss=dict(type='ImageSemanticLoss'), weight=0.084),
        loss_region=REGION,
    ),
    mix=dict(type='Halves'),
)


def build(**changes):
    return MODELS.build(dict(copy.deepcopy(MGD), **changes))


def one_teacher(**changes):
    settings = dict(teacher=dict(model=segmentor(8)), terms=None, unlabeled_terms=dict(loss_u=PSEUDO), mix=None)
    return build(**{**settings, **changes})


def loss_of(model, **settings):
    return model.loss(*preprocessed(model, **settings))


def backward(model):
    model.parse_losses(loss_of(model))[0].backward()


def test_a_step_of_multi_granularity_distillation_is_its_equations():
    model = build()
    plain = copy.deepcopy(model.student)  # BatchNorm's outputs in training do not depend on its past
    inputs, samples = preprocessed(model)
    losses = model.loss(inputs, samples)

    labels = np.stack([sample.gt_sem_seg.data[0].numpy() for sample in samples['labeled']])
    own = plain.loss(inputs['labeled'], samples['labeled'])
    small = labels[:, ::8, ::8]
    # The pyramid of the head halves nothing: stride 8 and 4 x 4 logits of images of 32 x 32.
    _, student = features_and_logits(plain, inputs['labeled'])
    assert student.shape[2:] == small.shape[1:] == (4, 4)
    expected = {name: float(value) for name, value in own.items()}
    for name in ('deep', 'wide'):
        with torch.no_grad():
            _, says = features_and_logits(model.teachers[name].module, inputs['labeled'])
        expected[f'loss_p_{name}'] = cross_entropy(array(student), array(says).argmax(1), small != 255)

    first, second = inputs['unlabeled']
    mixed = torch.from_numpy(halves(first.numpy(), second.numpy()))
    features, student = features_and_logits(plain, mixed)
    # Padding: the last 8 rows of the first, and the last 16 of the second image, at stride 8.
    counted = np.ones((2, 4, 4), dtype=bool)
    counted[:, 3, :2] = counted[:, 2:, 2:] = False
    with torch.no_grad():
        for name, weight in (('deep', 0.5), ('wide', 1.0)):
            says = [array(features_and_logits(model.teachers[name].module, image)[1]) for image in (first, second)]
            expected[f'loss_u_{name}'] = weight * cross_entropy(array(student), halves(*says).argmax(1), counted)
        _, deep = features_and_logits(model.teachers['deep'].module, mixed)
        wide, _ = features_and_logits(model.teachers['wide'].module, mixed)
    expected['loss_image'] = 0.084 * np.abs(array(student).mean((2, 3)) - array(deep).mean((2, 3))).mean()
    expected['loss_region'] = 50 * np.square(regions(array(features), 2) - regions(array(wide), 2)).mean()

    assert losses.keys() == expected.keys()
    assert {name: float(value) for name, value in losses.items()} == pytest.approx(expected, rel=1e-5)
    assert min(expected[name] for name in expected if 'loss' in name) > 0


def test_only_the_student_gets_gradients_and_the_teachers_stay_as_they_are():
    model = build()
    before = {name: copy.deepcopy(teacher.module.state_dict()) for name, teacher in model.teachers.items()}
    backward(model)
    for name, teacher in model.teachers.items():
        assert all(torch.equal(before[name][key], value) for key, value in teacher.module.state_dict().items())
        assert not any(p.requires_grad or p.grad is not None for p in teacher.module.parameters())
    assert {name.split('.')[0] for name in model.state_dict()} == {'student'}
    assert gradients(model).keys() == {name for name, _ in model.named_parameters()}


def test_the_gradient_is_that_of_labeled_and_unlabeled_parts_together():
    model = build()
    parts = [copy.deepcopy(model) for _ in range(2)]
    parts[0].unlabeled_terms = torch.nn.ModuleDict()
    backward(model)
    backward(parts[0])
    losses = loss_of(parts[1])
    sum(value for name, value in losses.items() if name in model.unlabeled_terms).backward()
    for name, gradient in gradients(model).items():
        shares = [gradients(part).get(name, torch.zeros(())) for part in parts]
        torch.testing.assert_close(gradient, sum(shares), rtol=1e-3, atol=1e-6)


def test_every_network_runs_once_on_every_image_that_is_read():
    model = build()
    inputs, samples = preprocessed(model)
    runs = {name: count_runs(teacher.module) for name, teacher in model.teachers.items()}
    runs['student'] = count_runs(model.student)
    model.loss(inputs, samples)
    first, second = inputs['unlabeled']
    mixed = torch.from_numpy(halves(first.numpy(), second.numpy()))
    wanted = dict(
        deep=[inputs['labeled'], mixed, first, second],
        wide=[inputs['labeled'], mixed, first, second],
        student=[inputs['labeled'], mixed],
    )
    for name, batches in wanted.items():
        assert len(runs[name]) == len(batches), name
        assert all(torch.equal(*pair) for pair in zip(runs[name], batches)), name


def test_a_teacher_does_not_run_on_what_nobody_reads():
    model = build(
        unlabeled_terms={
            **MGD['unlabeled_terms'],
            'loss_u_wide': dict(PSEUDO, teacher='wide.unmixed.logits', weight=0.0),
            'loss_image': dict(PSEUDO, teacher='deep.logits', weight=0.0),
        }
    )
    inputs, samples = preprocessed(model)
    runs = {name: count_runs(teacher.module) for name, teacher in model.teachers.items()}
    model.loss(inputs, samples)
    first, second = inputs['unlabeled']
    mixed = torch.from_numpy(halves(first.numpy(), second.numpy()))
    for name, batches in dict(deep=[inputs['labeled'], first, second], wide=[inputs['labeled'], mixed]).items():
        assert len(runs[name]) == len(batches) and all(map(torch.equal, runs[name], batches)), name


def test_without_unlabeled_terms_no_network_sees_an_unlabeled_image():
    model = build(unlabeled_terms=None, mix=None)
    runs = count_runs(model.student)
    losses = loss_of(model)
    assert len(runs) == 1 and {'loss_p_deep', 'loss_p_wide'} < losses.keys()


def test_without_mix_the_first_branch_is_learnt_as_it_is():
    model = one_teacher()
    runs = count_runs(model.student), count_runs(model.teachers[''].module)
    inputs, samples = preprocessed(model)
    loss = model.loss(inputs, samples)['loss_u']
    assert torch.equal(runs[0][1], inputs['unlabeled'][0]) and torch.equal(runs[1][0], inputs['unlabeled'][0])
    plain = copy.deepcopy(model.student)
    says = features_and_logits(model.teachers[''].module, inputs['unlabeled'][0])[1]
    counted = np.ones((2, 4, 4), dtype=bool)
    counted[:, 3] = False
    student = features_and_logits(plain, inputs['unlabeled'][0])[1]
    assert float(loss) == pytest.approx(cross_entropy(array(student), array(says).argmax(1), counted), rel=1e-5)


def test_labels_of_unlabeled_images_are_never_read():
    model = build()
    inputs, samples = preprocessed(model)
    other = copy.deepcopy(samples)
    for branch in other['unlabeled']:
        for sample in branch:
            sample.gt_sem_seg.data[sample.gt_sem_seg.data == 0] = 3
    first, second = copy.deepcopy(model).loss(inputs, samples), model.loss(inputs, other)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_unlabeled_images_do_not_change_what_labeled_ones_give():
    model = build()
    inputs, samples = preprocessed(model)
    moved = dict(inputs, unlabeled=[images + 1 for images in inputs['unlabeled']])
    first, second = copy.deepcopy(model).loss(inputs, samples), model.loss(moved, samples)
    same = {name for name in first if torch.equal(first[name], second[name])}
    assert same == first.keys() - MGD['unlabeled_terms'].keys()


def test_it_mixes_by_cutmix():
    model = build(mix=dict(type='CutMix'))
    runs = count_runs(model.student)
    inputs, samples = preprocessed(model)
    model.loss(inputs, samples)  # builds the teachers, which draws numbers too
    torch.manual_seed(5)
    losses = model.loss(inputs, samples)
    torch.manual_seed(5)
    mask = CutMix().sample(2, (32, 32))
    first, second = inputs['unlabeled']
    assert torch.equal(runs[-1], torch.where(mask, second, first)) and 0 < mask.float().mean() < 1
    assert all(value.isfinite() for value in losses.values())


def test_an_ensemble_of_teachers_can_be_asked_about_unmixed_images():
    model = one_teacher(
        teacher=[dict(model=segmentor(8)), dict(model=segmentor(6))],
        mix=dict(type='Halves'),
        unlabeled_terms=dict(loss_u=dict(PSEUDO, teacher='unmixed.logits')),
    )
    assert loss_of(model)['loss_u'] > 0


def test_adapters_of_unlabeled_terms_learn():
    hint = dict(student='backbone[3]', teacher='backbone[3]', loss=dict(type='HintLoss'))
    model = one_teacher(unlabeled_terms=dict(loss_hint=hint))
    backward(model)
    assert model.unlabeled_terms['loss_hint'].adapters[0].weight.grad.abs().sum() > 0


def test_a_state_dict_brings_all_back():
    hint = dict(student='backbone[3]', teacher='backbone[3]', loss=dict(type='HintLoss'))
    first, second = (one_teacher(unlabeled_terms=dict(loss_hint=hint)) for _ in range(2))
    second.load_state_dict(first.state_dict())
    second.teachers = first.teachers
    assert {name.split('.')[0] for name in first.state_dict()} == {'student', 'unlabeled_terms'}
    assert torch.equal(loss_of(first)['loss_hint'], loss_of(second)['loss_hint'])


def test_it_is_tested_and_copied_as_a_student_without_teachers():
    model = build(teacher=dict(deep=dict(config='nowhere.py'), wide=dict(config='nowhere.py'))).eval()
    data = copy.deepcopy(model).data_preprocessor(toy_batch(), False)
    alone = model.student.predict(data['inputs'], data['data_samples'])
    predicted = model(**data, mode='predict')
    assert torch.equal(predicted[0].pred_sem_seg.data, alone[0].pred_sem_seg.data)
    with pytest.raises(FileNotFoundError, match='no such config: nowhere.py'):
        loss_of(model)


def test_the_student_keeps_a_preprocessor_of_mmsegmentation():
    model = build()
    assert type(model.student.data_preprocessor).__name__ == 'SegDataPreProcessor'
    assert type(model.data_preprocessor).__name__ == 'BranchPreprocessor'


def test_a_preprocessor_that_the_runner_hands_over_serves_a_student_without_one():
    student = segmentor(4)
    preprocessor = student.pop('data_preprocessor')
    model = one_teacher(student=student, data_preprocessor=preprocessor)
    assert loss_of(model)['loss_u'].isfinite()


def test_a_batch_of_labeled_images_alone_is_refused_in_one_line():
    model = build()
    with pytest.raises(
        ValueError, match=r"needs batches of labeled and unlabeled images.*'SemiSupervisedDataset'"
    ) as error:
        model.train_step(toy_batch(), optimizer(model))
    assert '\n' not in str(error.value)


def test_mixing_needs_two_branches():
    with pytest.raises(ValueError, match='model.mix needs two unlabeled branches, but the batch has 1'):
        loss_of(build(), branches=1)


def test_unlabeled_images_need_a_blank_label_map_where_padding_matters():
    inputs, samples = preprocessed(build())
    for branch in samples['unlabeled']:
        for sample in branch:
            del sample.gt_sem_seg
    with pytest.raises(ValueError, match='LoadBlankAnnotations'):
        build().loss(inputs, samples)
    assert build(unlabeled_terms=dict(loss_region=REGION)).loss(inputs, samples)['loss_region'] > 0


@pytest.mark.parametrize(
    'changes, error, message',
    [
        (
            dict(mix=None),
            PathError,
            'model.unlabeled_terms.loss_u_deep.teacher: "deep.unmixed.logits" needs mixed images,',
        ),
        (
            dict(terms=dict(loss_x=dict(PSEUDO, teacher='deep.unmixed.logits'))),
            PathError,
            'model.terms.loss_x.teacher: "deep.unm',
        ),
        (
            dict(unlabeled_terms=dict(loss_p_deep=dict(PSEUDO, teacher='deep.logits'))),
            ValueError,
            'model.unlabeled_terms.loss_p_deep: model.terms has that name too',
        ),
        (dict(terms={}, unlabeled_terms={}), ValueError, 'model.terms and model.unlabeled_terms are empty'),
        (
            dict(unlabeled_terms=dict(loss_x=PSEUDO)),
            PathError,
            'must start with the name of a teacher: deep.logits, wide.logits',
        ),
        (
            dict(unlabeled_terms=dict(loss_x=dict(PSEUDO, teacher='deep.unmixed.backbone.layer9'))),
            PathError,
            'model.unlabeled_terms.loss_x.teacher: "backbone.layer9" names no',
        ),
        (
            dict(unlabeled_terms=dict(loss_x=dict(PSEUDO, weigth=1))),
            ValueError,
            'model.unlabeled_terms.loss_x.weigth: Term has no argument weigth',
        ),
        (
            dict(unlabeled_terms=dict(region=REGION)),
            ValueError,
            'model.unlabeled_terms.region: the name of a term must contain',
        ),
    ],
)
def test_a_wrong_config_is_one_line_that_names_its_key(changes, error, message):
    with pytest.raises(error, match=message) as raised:
        build(**changes)
    assert '\n' not in str(raised.value)


@pytest.mark.parametrize('term', ['loss_p_wide', 'loss_u_wide'])
def test_teachers_with_other_classes_are_refused(term):
    group = 'terms' if term == 'loss_p_wide' else 'unlabeled_terms'
    changes = dict(terms=None, unlabeled_terms=None)
    changes[group] = {term: MGD[group][term]}
    with pytest.raises(ValueError, match=f'model.{group}.{term}: .*the student has 4 and the teacher 7') as error:
        build(teacher=dict(deep=dict(model=segmentor(8)), wide=dict(model=segmentor(6, num_classes=7))), **changes)
    assert '\n' not in str(error.value)


def test_both_names_are_registered():
    assert MODELS.get('SemiSupervisedDistiller') is MODELS.get('MultiGranularityDistiller') is SemiSupervisedDistiller


def test_a_preprocessor_that_is_given_as_a_class_serves_all_branches_too():
    student = segmentor(4)
    student['data_preprocessor'] = dict(student['data_preprocessor'], type=SegDataPreProcessor)
    assert type(one_teacher(student=student).data_preprocessor).__name__ == 'BranchPreprocessor'
