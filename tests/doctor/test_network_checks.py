import io

import pytest
from mmengine.config import Config

from mmseg_kd.distillers.teacher import build_teachers
from mmseg_kd.doctor.diagnosis import Diagnosis
from mmseg_kd.doctor.network_checks import (
    check_classes,
    check_ignore_index,
    check_normalization,
    check_student,
    check_teachers,
    class_table,
)
from mmseg_kd.testing.toys import toy_segmentor


def segmentor(ignored=255, loss=None, **preprocessor):
    model = toy_segmentor(4)
    for head in (model.decode_head, model.auxiliary_head):
        head.ignore_index = ignored
    if loss:
        model.decode_head.loss_decode = loss
    model.data_preprocessor.update(preprocessor)
    return model


def found(check, model, teacher=None, metric=255, top=None):
    diagnosis, teachers = Diagnosis(io.StringIO()), []
    config = Config(dict(model=model, val_evaluator=dict(type='IoUMetric', ignore_index=metric), **(top or {})))
    student = diagnosis.run('student', check_student, config)
    if teacher is not None:
        teachers = diagnosis.run('teacher', check_teachers, build_teachers(dict(model=teacher)))
    arguments = (student, teachers) if check is check_normalization else (config, student, teachers)
    diagnosis.run('asked', check, *arguments)
    return [(finding.status, finding.text) for finding in diagnosis.findings if finding.check == 'asked']


@pytest.mark.parametrize('ignored', [100, 255, None])
def test_the_same_ignored_label_everywhere_passes(ignored):
    label = 255 if ignored is None else ignored
    ((status, text),) = found(check_ignore_index, segmentor(ignored, seg_pad_val=label), segmentor(255), metric=label)
    assert (status, text) == ('ok', f'{label} in heads, padding, terms and validation')


def test_a_loss_that_ignores_another_label_than_its_head_fails():
    ohem = [dict(type='CrossEntropyLoss'), dict(type='OhemCrossEntropy', ignore_label=255)]
    ((status, text),) = found(check_ignore_index, segmentor(100, ohem, seg_pad_val=100), metric=100)
    assert status == 'failed' and 'model.decode_head.loss_decode.ignore_label is 255' in text


def test_a_teacher_that_ignores_a_class_of_the_student_is_a_warning():
    ((status, text),) = found(check_ignore_index, segmentor(), segmentor(0))
    assert status == 'warning' and 'teacher was trained with ignore_index=0, the student has 255' in text


def test_a_preprocessor_at_the_top_level_belongs_to_the_student():
    model = segmentor()
    own = model.pop('data_preprocessor')
    ((status, text),) = found(check_normalization, model, segmentor(), top=dict(data_preprocessor=own))
    assert status == 'ok' and text.endswith('RGB for student and teacher')
    ((status, text),) = found(check_normalization, model)
    assert status == 'warning' and 'data_preprocessor has no mean and std' in text


@pytest.mark.parametrize('channels', [1, 4])
def test_images_of_any_number_of_channels_are_compared(channels):
    one, other = (segmentor(mean=[mean], std=[64.0], bgr_to_rgb=False) for mean in (127.5, 100.0))
    one.backbone.in_channels = other.backbone.in_channels = channels
    ((status, text),) = found(check_normalization, one, other)
    assert status == 'warning' and 'teacher has mean 100, std 64, channels as loaded, the student mean 127.5' in text
    assert found(check_normalization, one, one)[0][0] == 'ok'


class Data:
    metainfo = dict(classes=('vehicle', 'logo', 'sky', 'plant'))


class Loader:
    dataset = Data()


def examined(class_map):
    diagnosis = Diagnosis(io.StringIO())
    config = Config(dict(model=segmentor()))
    student = diagnosis.run('student', check_student, config)
    spec = dict(
        model=toy_segmentor(num_classes=6), class_map=class_map, classes=['car', 'sky', 'bus', 'tree', 'a', 'b']
    )
    teachers = diagnosis.run('teacher', check_teachers, build_teachers(spec))
    diagnosis.run('asked', check_classes, config, student, teachers, dict(train_dataloader=Loader()))
    return teachers, [(finding.status, finding.text) for finding in diagnosis.findings if finding.check == 'asked']


def test_classes_of_a_teacher_are_shown_beside_those_of_the_student():
    teachers, ((status, text),) = examined({'vehicle': ['bus', 'car'], 'logo': [], 'sky': 'sky', 'plant': 'tree'})
    assert (status, text) == ('ok', '4 in network, teacher, train_dataloader')
    rows = [[cell.strip() for cell in line.split('|')[1:3]] for line in class_table(teachers).splitlines()]
    assert rows[2:] == [
        ['vehicle', 'bus + car'],
        ['logo', 'unknown: labels only'],
        ['sky', 'sky'],
        ['plant', 'tree'],
        ['-', '2 others: left out'],
    ]


def test_a_map_in_another_order_fails():
    _, ((status, text),) = examined({'logo': [], 'vehicle': ['bus', 'car'], 'sky': 'sky', 'plant': 'tree'})
    assert status == 'failed' and "class_map has class 0 'logo', but the data have 'vehicle'" in text
