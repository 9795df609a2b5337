import torch
from mmengine.optim import build_optim_wrapper
from mmseg.registry import MODELS

from mmseg_kd.profiling.step_clock import StepClock, student_step, timed_parts
from mmseg_kd.testing.toys import toy_batch, toy_segmentor


def distiller():
    torch.manual_seed(0)
    pi = dict(student='logits', teacher='logits', loss=dict(type='PixelWiseKDLoss'))
    terms = dict(loss_pi=pi, loss_half=dict(pi, weight=0.5))
    network = toy_segmentor(4)
    model = MODELS.build(dict(type='Distiller', student=network, teacher=dict(model=network), terms=terms))
    return model, build_optim_wrapper(model, dict(optimizer=dict(type='SGD', lr=0.01)))


def test_every_part_of_a_step_is_timed_once_and_the_step_stays_the_same():
    ticks = iter(range(1000))
    clock = StepClock(torch.device('cpu'), clock=lambda: float(next(ticks)))
    (model, optimizer), (twin, its_optimizer) = distiller(), distiller()
    with timed_parts(clock, model, optimizer):
        torch.manual_seed(0)
        losses = model.train_step(toy_batch(), optimizer)
    # Each part takes one tick of this clock.
    assert clock.take() == dict.fromkeys(['teacher', 'student', 'loss_pi', 'loss_half', 'backward', 'optimizer'], 1.0)
    torch.manual_seed(0)
    expected = twin.train_step(toy_batch(), its_optimizer)
    assert {name: value.item() for name, value in losses.items()} == {n: v.item() for n, v in expected.items()}
    model.train_step(toy_batch(), optimizer)
    assert clock.take() == {} and 'forward' not in model.student.__dict__


def test_a_step_of_a_student_with_one_channel_whose_images_the_teacher_labels():
    network, teacher = toy_segmentor(4, num_classes=2, auxiliary=False), toy_segmentor(4, num_classes=2)
    network.decode_head.update(out_channels=1, threshold=0.5)
    network.decode_head.loss_decode.use_sigmoid = True
    pi = dict(student='logits', teacher='logits', loss=dict(type='PixelWiseKDLoss'))
    model = MODELS.build(
        dict(type='LabelingDistiller', student=network, teacher=dict(model=teacher), terms=dict(loss_pi=pi))
    )
    optimizer = build_optim_wrapper(model, dict(optimizer=dict(type='SGD', lr=0.01)))
    data = model.data_preprocessor(toy_batch(num_classes=2), True)
    for sample in data['data_samples']:
        sample.gt_sem_seg.data.fill_(254)
    before = model.student.decode_head.conv_seg.weight.clone()
    student_step(model, data, optimizer)
    assert not torch.equal(model.student.decode_head.conv_seg.weight, before)
    assert data['data_samples'][0].gt_sem_seg.data.eq(254).all()


def test_a_step_of_the_student_trains_it_without_its_teacher():
    model, optimizer = distiller()
    before = model.student.decode_head.conv_seg.weight.clone()
    clock = StepClock(torch.device('cpu'))
    with timed_parts(clock, model, optimizer):
        student_step(model, model.data_preprocessor(toy_batch(), True), optimizer)
    assert clock.take().keys() == {'student', 'backward', 'optimizer'}
    assert not torch.equal(model.student.decode_head.conv_seg.weight, before)
