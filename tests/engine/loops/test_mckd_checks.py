"""Settings of an MCKD run that are refused."""

import pytest
from mmengine.config import Config

from mmseg_kd.engine.loops.mckd_checks import (
    check_classes,
    check_settings,
    check_soft_labels,
    label_data_set,
    label_data_sets,
)

TEACHER = dict(config='teacher.py')
LABELED = dict(type='PseudoLabelDataset', images='images')
SOFT = dict(type='SoftLabelDistiller')
LOAD, PACK = dict(type='LoadSoftLabels'), dict(type='PackSoftSegInputs')


@pytest.mark.parametrize(
    'stages, teacher, group, message',
    [
        (-1, TEACHER, None, 'num_stages must be 0, 1, 2, ..., but is -1'),
        (1.0, TEACHER, None, 'num_stages must be 0, 1, 2, ..., but is 1.0'),
        (1, dict(), None, 'teacher must be .* but has nothing'),
        (1, dict(TEACHER, scale=2), None, 'teacher must be .* but has config, scale'),
        (1, TEACHER, '^y', r'must be a regular expression with a group, .* but is \^y'),
    ],
)
def test_impossible_settings_are_refused(stages, teacher, group, message):
    check_settings(0, TEACHER, '^(y)')
    with pytest.raises(ValueError, match=message):
        check_settings(stages, teacher, group)


def test_the_data_set_that_takes_labels_is_found_in_wrappers_and_lists():
    true = dict(type='CamVidDataset')
    wrapped = dict(type='RepeatDataset', dataset=dict(type='ConcatDataset', datasets=[true, LABELED]))
    assert label_data_set(wrapped) is LABELED and list(label_data_sets([wrapped, LABELED])) == [LABELED, LABELED]
    for datasets, number in (([true], 0), ([LABELED, LABELED], 2)):
        with pytest.raises(ValueError, match=f'key "images" .PseudoLabelDataset., but holds {number}'):
            label_data_set(dict(type='ConcatDataset', datasets=datasets))


def test_a_name_in_another_argument_is_no_transform():
    check_soft_labels([dict(type='Resize', note='LoadSoftLabels')], 0, dict(type='EncoderDecoder'))
    with pytest.raises(ValueError, match=r"no dict\(type='LoadSoftLabels'\)"):
        check_soft_labels([dict(type='Resize', note='LoadSoftLabels'), PACK], 2, SOFT)


@pytest.mark.parametrize('kind', ['LoadSoftLabels', 'mmseg_kd.LoadSoftLabels', type('LoadSoftLabels', (), {})])
def test_soft_labels_that_are_read_must_be_written(kind):
    pipeline = [dict(type='RandomApply', transforms=[dict(type=kind)]), PACK]
    check_soft_labels(pipeline, 2, SOFT)
    with pytest.raises(ValueError, match='top_k must be 1, 2, 3, ... .* but is 0'):
        check_soft_labels(pipeline, 0, dict(type='EncoderDecoder'))


def config(classes=('a', 'b'), **head):
    data = dict(dataset=dict(type='BaseSegDataset', metainfo=dict(classes=classes)))
    return Config(dict(model=dict(decode_head=[dict(num_classes=9), dict(num_classes=2, **head)]), val_dataloader=data))


def test_teacher_student_and_validation_have_the_same_classes():
    check_classes(config(), ['a', 'b'], 'MCKDLoop')
    check_classes(Config(dict(config(), val_dataloader=None)), ['b', 'a'], 'MCKDLoop')
    for found, classes, message in (
        (config(), ['a', 'b', 'c'], 'train_cfg.teacher has 3 and the student 2'),
        (config(ignore_index=0), ['a', 'b'], 'in the labels that MCKDLoop writes, but is 0'),
        (config(), ['b', 'a'], 'class 0 is b in train_cfg.teacher and a in val_dataloader.dataset'),
    ):
        with pytest.raises(ValueError, match=message):
            check_classes(found, classes, 'MCKDLoop')
