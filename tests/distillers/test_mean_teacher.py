import copy

import numpy as np
import pytest
import torch
from branches import array, count_runs, features_and_logits, gradients, optimizer, preprocessed, segmentor, softmax
from mmseg.registry import MODELS

from mmseg_kd.testing.toys import toy_batch, toy_branch_batch

MSE = dict(student='logits', teacher='logits', loss=dict(type='ProbabilityMSELoss'), weight=50.0)


def build(**changes):
    """A MeanTeacher whose teacher is another network by now."""
    settings = dict(
        type='MeanTeacher', student=segmentor(4), terms=dict(loss_mt=MSE), unlabeled_terms=dict(loss_mt_u=MSE)
    )
    model = MODELS.build({**settings, **changes})
    model.teacher.load_state_dict(MODELS.build(segmentor(4)).state_dict())
    for name, buffer in model.teacher.named_buffers():
        if name.endswith('running_mean'):
            buffer.normal_(std=0.1)
    return model


def test_a_step_is_its_equations():
    model = build()
    plain = copy.deepcopy(model.student)
    inputs, samples = preprocessed(model)
    losses = model.loss(inputs, samples)
    own = plain.loss(inputs['labeled'], samples['labeled'])
    expected = {name: float(value) for name, value in own.items()}
    for name, images in (('loss_mt', inputs['labeled']), ('loss_mt_u', inputs['unlabeled'][0])):
        _, student = features_and_logits(plain, images)
        with torch.no_grad():
            _, teacher = features_and_logits(model.teacher.eval(), images)
        expected[name] = 50 * np.square(softmax(array(student)) - softmax(array(teacher))).mean()
    assert {name: float(value) for name, value in losses.items()} == pytest.approx(expected, rel=1e-5)
    assert expected['loss_mt'] > 0 and expected['loss_mt_u'] > 0


def test_the_teacher_is_a_moving_average_of_the_students_weights_with_its_statistics():
    model = build()
    expected = {name: p.detach().double().clone() for name, p in model.teacher.named_parameters()}
    optim = optimizer(model)
    for step in range(3):
        model.train_step(toy_branch_batch(seed=step), optim)
        model.update_teacher(momentum=0.9)
        for name, p in model.student.named_parameters():
            expected[name] = 0.9 * expected[name] + 0.1 * p.detach().double()
    for name, p in model.teacher.named_parameters():
        torch.testing.assert_close(p.double(), expected[name], rtol=1e-5, atol=1e-7)
    for (name, first), (_, second) in zip(model.teacher.named_buffers(), model.student.named_buffers()):
        assert torch.equal(first, second), name
    assert not all(map(torch.equal, model.teacher.parameters(), model.student.parameters()))


def test_a_step_leaves_the_teacher_as_it_is_in_eval_mode_without_gradient():
    model = build()
    before = copy.deepcopy(model.teacher.state_dict())
    model.train()
    losses = model.loss(*preprocessed(model))
    model.parse_losses(losses)[0].backward()
    assert all(torch.equal(before[name], value) for name, value in model.teacher.state_dict().items())
    assert model.student.training and not any(module.training for module in model.teacher.modules())
    assert not any(p.requires_grad or p.grad is not None for p in model.teacher.parameters())
    assert gradients(model).keys() == {f'student.{name}' for name, _ in model.student.named_parameters()}


def test_each_network_runs_once_on_every_image():
    model = build()
    runs = count_runs(model.student), count_runs(model.teacher)
    inputs, samples = preprocessed(model)
    model.loss(inputs, samples)
    for seen in runs:
        assert len(seen) == 2 and all(map(torch.equal, seen, [inputs['labeled'], inputs['unlabeled'][0]]))


def test_the_teacher_begins_as_a_copy_of_the_student_also_after_initialization():
    model = MODELS.build(dict(type='MeanTeacher', student=segmentor(4), terms=dict(loss_mt=MSE)))
    built = copy.deepcopy(model.student.state_dict())
    assert all(torch.equal(built[name], value) for name, value in model.teacher.state_dict().items())
    model.init_weights()
    initialized = model.student.state_dict()
    assert all(torch.equal(initialized[name], value) for name, value in model.teacher.state_dict().items())
    assert not torch.equal(built['decode_head.conv_seg.weight'], initialized['decode_head.conv_seg.weight'])


def test_a_state_dict_brings_student_and_teacher_back():
    first, second = build(), build()
    assert {name.split('.')[0] for name in first.state_dict()} == {'student', 'teacher'}
    second.load_state_dict(first.state_dict())
    one, other = (model.loss(*preprocessed(model)) for model in (first, second))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_deep_copy_has_a_teacher_of_its_own():
    model = build()
    other = copy.deepcopy(model)
    assert other.teachers[''].module is other.teacher is not model.teacher
    before = copy.deepcopy(model.teacher.state_dict())
    other.update_teacher(momentum=0.0)
    assert all(torch.equal(before[name], value) for name, value in model.teacher.state_dict().items())


def test_it_predicts_with_the_student():
    model = build().eval()
    data = model.data_preprocessor(toy_batch(), False)
    alone = model.student.predict(data['inputs'], data['data_samples'])
    assert torch.equal(model(**data, mode='predict')[0].pred_sem_seg.data, alone[0].pred_sem_seg.data)


@pytest.mark.parametrize('moved', [True, False])
def test_a_teacher_that_nothing_moves_is_told_once(moved, monkeypatch):
    told = []
    monkeypatch.setattr('mmseg_kd.distillers.mean_teacher.print_log', lambda message, *_: told.append(message))
    model = build()
    inputs, samples = preprocessed(model)
    for _ in range(4):
        model.loss(inputs, samples)
        if moved:
            model.update_teacher(momentum=0.9)
    expected = "the teacher was not updated since the last step; add dict(type='MeanTeacherHook') to custom_hooks"
    assert told == ([] if moved else [expected])
