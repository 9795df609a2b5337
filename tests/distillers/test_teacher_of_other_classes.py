import copy

import numpy as np
import pytest
import torch
from mmengine.optim import OptimWrapper
from mmseg.registry import MODELS

from mmseg_kd.distillers import EnsembleTeacher, FrozenTeacher
from mmseg_kd.testing.toys import toy_batch, toy_segmentor

GROUPS = {'vehicle': [1, 4], 'logo': [], 'plant': [3], 'sky': [0]}
KNOWN = [0, 2, 3]


def distiller(loss, groups=GROUPS, num_classes=4, **teacher):
    spec = dict(model=toy_segmentor(num_classes=5), class_map=groups, **teacher)
    terms = dict(loss_kd=dict(student='logits', teacher='logits', loss=loss))
    return MODELS.build(
        dict(type='Distiller', student=toy_segmentor(num_classes=num_classes), teacher=spec, terms=terms)
    )


def kl_by_hand(student, teacher):
    """Mean over pixels of KL(teacher || student) in float64, over the known classes."""

    def shares(x):
        x = np.exp(x - x.max(1, keepdims=True))
        return x / x.sum(1, keepdims=True)

    student, teacher = shares(student[:, KNOWN]), teacher / teacher.sum(1, keepdims=True)
    return (teacher * np.log(teacher / student)).sum(1).mean()


def test_a_term_compares_the_classes_that_the_teacher_knows():
    torch.manual_seed(0)
    model = distiller(dict(type='PixelWiseKDLoss'))
    batch = model.data_preprocessor(toy_batch(num_classes=4), True)
    model.eval()
    loss = model.loss(**batch)['loss_kd']
    with torch.no_grad():
        student = model.student(batch['inputs'], mode='tensor').double().numpy()
        theirs = model.teachers['']._module
        own = MODELS.build(toy_segmentor(num_classes=5)).eval()
        state = {
            name.replace('decode_head.head.', 'decode_head.'): value for name, value in theirs.state_dict().items()
        }
        own.load_state_dict(state)
        logits = own(batch['inputs'], mode='tensor').double().softmax(1).numpy()
    teacher = np.stack([logits[:, 1] + logits[:, 4], logits[:, 3], logits[:, 0]], axis=1)
    assert loss.item() == pytest.approx(kl_by_hand(student, teacher), rel=1e-4)


def test_no_gradient_reaches_the_classifier_of_a_class_that_the_teacher_does_not_know():
    model = distiller(dict(type='PixelWiseKDLoss'))
    batch = model.data_preprocessor(toy_batch(num_classes=4), True)
    model.loss(**batch)['loss_kd'].backward()
    gradient = model.student.decode_head.conv_seg.weight.grad.flatten(1).abs().sum(1)
    assert gradient[1] == 0 and (gradient[KNOWN] > 0).all()


def test_a_loss_with_labels_sees_labels_among_the_known_classes(monkeypatch):
    model = distiller(dict(type='DKDLoss'))
    term = model.terms['loss_kd']
    assert term.loss.classes == 3
    seen = []
    forward = term.loss.forward
    monkeypatch.setattr(term.loss, 'forward', lambda *maps: seen.append(maps[2]) or forward(*maps))
    batch = model.data_preprocessor(toy_batch(num_classes=4), True)
    for sample in batch['data_samples']:
        sample.gt_sem_seg.data = torch.tensor([0, 1, 2, 3]).repeat(8).expand(1, 32, 32).clone()
        sample.gt_sem_seg.data[:, 0] = 255
    loss = model.loss(**batch)['loss_kd']
    # Class 1 is unknown to the teacher, so that its pixels are ignored.
    assert seen[0][0, 1, :4].tolist() == [0, 255, 1, 2] and (seen[0][:, 0] == 255).all()
    assert torch.isfinite(loss)


def test_the_tables_of_classes_move_with_the_model_once_and_are_not_saved(monkeypatch):
    model = distiller(dict(type='DKDLoss'))
    term = model.terms['loss_kd']
    tables = {name: table for name, table in term.named_buffers() if not table.is_floating_point()}
    assert sorted(tables) == ['_known_0', '_label_of'] and not any('_known' in name for name in model.state_dict())
    # EMAHook copies buffers of every type.
    assert all(torch.equal(table, dict(copy.deepcopy(term).named_buffers())[name]) for name, table in tables.items())
    batch = model.data_preprocessor(toy_batch(num_classes=4), True)
    model.loss(**batch)  # builds the teacher
    kept = [*tables.values(), model.teachers[''].module.decode_head.class_map.matrix]
    moved = []
    to = torch.Tensor.to
    monkeypatch.setattr(torch.Tensor, 'to', lambda self, *args, **kw: moved.append(self) or to(self, *args, **kw))
    model.loss(**batch)
    assert not any(table is other for table in kept for other in moved)


def test_a_teacher_that_knows_all_classes_is_compared_in_all():
    model = distiller(dict(type='PixelWiseKDLoss'), groups={'a': 0, 'b': 1, 'c': 2, 'd': [3, 4]})
    assert model.teachers[''].known is None and model.terms['loss_kd'].student_shapes[0][1] == 4
    log = model.train_step(toy_batch(num_classes=4), OptimWrapper(torch.optim.SGD(model.parameters(), 0.01)))
    assert torch.isfinite(log['loss_kd'])


@pytest.mark.parametrize('loss', ['CWDLoss', 'DISTLoss', 'HolisticKDLoss', 'BPKDLoss'])
def test_other_losses_between_logits_take_a_step(loss):
    model = distiller(dict(type=loss))
    batch = model.data_preprocessor(toy_batch(num_classes=4), True)
    assert torch.isfinite(model.loss(**batch)['loss_kd'])


def test_members_of_an_ensemble_may_have_their_own_classes():
    first = FrozenTeacher(model=toy_segmentor(num_classes=5), class_map=GROUPS)
    second = FrozenTeacher(model=toy_segmentor(num_classes=3), class_map={'a': 0, 'b': [], 'c': 1, 'd': 2})
    ensemble = EnsembleTeacher([first, second])
    assert ensemble.known == KNOWN
    shares = ensemble.read(torch.randn(1, 3, 32, 32), ['logits'])['logits'].exp()
    torch.testing.assert_close(shares.sum(1), torch.ones(1, 4, 4))
    other = FrozenTeacher(model=toy_segmentor(num_classes=3), class_map={'a': 0, 'b': 1, 'c': [], 'd': 2})
    with pytest.raises(ValueError, match='members of an ensemble must know the same classes'):
        EnsembleTeacher([first, other]).known


def test_the_number_of_classes_must_be_the_students():
    with pytest.raises(ValueError, match='the student has 6 and the teacher 4; .*class_map'):
        distiller(dict(type='PixelWiseKDLoss'), num_classes=6)


def test_names_come_from_the_data_set_of_the_teachers_config(tmp_path):
    lines = f'model = {toy_segmentor(num_classes=11).to_dict()!r}\n'
    lines += "test_dataloader = dict(dataset=dict(type='CamVidDataset', pipeline=[], data_root='nowhere'))\n"
    (tmp_path / 'teacher.py').write_text(lines)
    teacher = FrozenTeacher(config=str(tmp_path / 'teacher.py'), class_map={'nature': ['Tree', 'sky'], 'road': 'Road'})
    assert teacher.skeleton().decode_head.class_map.sources == [[5, 0], [3]]


def test_wrong_settings_are_named():
    with pytest.raises(ValueError, match=r'model.teacher.class_map.a: the teacher has no class .cat. .closest'):
        distiller(dict(type='PixelWiseKDLoss'), groups={'a': 'cat'}, classes=['car', 'bus', 'van', 'sky', 'tree'])
    with pytest.raises(ValueError, match='model.teacher.classes must name the 5 classes of the teacher, but names 2'):
        distiller(dict(type='PixelWiseKDLoss'), groups={'a': 'car'}, classes=['car', 'bus'])
    with pytest.raises(ValueError, match='registered data set, but is "NoSuchDataset"'):
        distiller(dict(type='PixelWiseKDLoss'), groups={'a': 'car'}, classes='NoSuchDataset')
    with pytest.raises(ValueError, match='model.teacher.classes are read for class_map only'):
        FrozenTeacher(model=toy_segmentor(), classes='CityscapesDataset')
