"""Findings about data, without a network."""

import re

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope
from PIL import Image

from mmseg_kd.doctor.data_checks import check_data
from mmseg_kd.doctor.diagnosis import Diagnosis

LOAD = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackSegInputs')]


@pytest.fixture
def folder(tmp_path):
    """Four images of 4 x 4 pixels; every second one has all classes."""
    init_default_scope('mmseg')
    for name in ('img', 'ann'):
        (tmp_path / name).mkdir()
    for i in range(4):
        Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / 'img' / f'{i}.jpg')
        write(tmp_path, i, [0, i % 2, i % 2, 255])
    return tmp_path


def write(folder, index, row):
    Image.fromarray(np.array([row] * 4, np.uint8)).save(folder / 'ann' / f'{index}.png')


def findings(folder, out, num_classes=2, ignore_index=255, wrap=lambda dataset: dataset, **settings):
    dataset = dict(
        type='BaseSegDataset',
        data_root=str(folder),
        data_prefix=dict(img_path='img', seg_map_path='ann'),
        metainfo=dict(classes=('ground', 'object')),
        pipeline=LOAD,
        **settings,
    )
    loader = dict(
        batch_size=2, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False), dataset=wrap(dataset)
    )
    diagnosis = Diagnosis(out)
    diagnosis.run(
        'data', check_data, Config(dict(train_dataloader=loader)), 'train_dataloader', num_classes, ignore_index, 8
    )
    assert all('\n' not in finding.text for finding in diagnosis.findings)
    return [(finding.status, finding.text) for finding in diagnosis.findings]


@pytest.fixture
def out(tmp_path):
    with open(tmp_path / 'out.txt', 'w') as file:
        yield file


def test_healthy_data_are_counted(folder, out):
    assert findings(folder, out) == [('ok', '4 images, no file missing; labels of 4: 2 of 2 classes, 25 % ignored')]
    # A network with one channel has two labels.
    assert findings(folder, out, num_classes=1)[0][0] == 'ok'


def test_repeated_images_are_counted_once(folder, out):
    status, text = findings(folder, out, wrap=lambda dataset: dict(type='RepeatDataset', times=1000, dataset=dataset))[
        0
    ]
    assert status == 'ok' and text.startswith(
        '4 images (4000 items of RepeatDataset), no file missing; labels of 4: 2 '
    )


def test_labeled_and_unlabeled_images_are_checked(folder, out):
    def divided(dataset):
        blank = [LOAD[0], dict(type='LoadBlankAnnotations'), LOAD[2]]
        return dict(
            type='SemiSupervisedDataset',
            labeled=dataset,
            unlabeled_pipelines=[blank],
            partition=dict(labeled=str(folder / 'list.txt')),
        )

    (folder / 'list.txt').write_text('1\n3\n')
    write(folder, 0, [9, 9, 9, 9])  # the label map of an unlabeled image is not read
    assert findings(folder, out, wrap=divided) == [
        ('ok', '2 labeled and 2 unlabeled images, no file missing; labels of 2: 2 of 2 classes, 25 % ignored')
    ]
    write(folder, 3, [9, 9, 9, 9])
    status, text = findings(folder, out, wrap=divided)[0]
    assert status == 'failed' and 'ann/3.png holds 9' in text


def test_images_whose_labels_the_teacher_gives_are_not_judged(folder, out):
    def joined(dataset):
        unknown = [LOAD[0], dict(type='LoadUnknownAnnotations'), LOAD[2]]
        return dict(type='ConcatDataset', datasets=[dataset, dict(dataset, pipeline=unknown)])

    assert findings(folder, out, wrap=joined) == [
        ('ok', '8 images, no file missing; labels of 4: 2 of 2 classes, 25 % ignored')
    ]
    ((status, text),) = findings(folder, out, wrap=lambda dataset: joined(dataset)['datasets'][1])
    assert status == 'ok' and text == '4 images, no file missing; the teacher labels all'
    write(folder, 0, [254, 0, 0, 1])
    status, text = findings(folder, out, wrap=joined)[0]
    assert status == 'failed' and 'holds 254' in text


def test_masks_of_0_and_255_are_no_labels(folder, out):
    for i in range(4):
        write(folder, i, [0, 255, 255, 0])
    ((status, text),) = findings(folder, out)
    assert status == 'failed' and 'save masks as 0 and 1 (labels // 255)' in text
    ((status, text),) = findings(folder, out, num_classes=1)
    assert status == 'failed' and 'hold only 0 and 255' in text


def test_a_single_class_is_a_warning(folder, out):
    for i in range(4):
        write(folder, i, [1, 1, 1, 1])
    ((status, text),) = findings(folder, out)
    assert status == 'warning' and 'the label maps of 4 images have only one class, 1; check' in text


def test_values_that_loading_would_change_are_a_failure(folder, out):
    Image.fromarray(np.full((4, 4), 256, np.uint16)).save(folder / 'ann' / '2.png')  # 256 becomes 0 in a byte
    ((status, text),) = findings(folder, out)
    assert status == 'failed' and '2.png' in text and '256 becomes 0' in text


@pytest.mark.parametrize(
    'content, words',
    [
        ('\ufeff0\n1\n', '2 files are missing, such as .*; .*list.txt starts with a byte-order mark: save it as'),
        ('0\n\n1\n', '2 files are missing, such as .*/.jpg; .*list.txt has empty lines: remove them'),
    ],
)
def test_a_list_file_that_mmsegmentation_misreads_is_named(folder, out, content, words):
    (folder / 'list.txt').write_text(content, encoding='utf-8')
    ((status, text),) = findings(folder, out, ann_file='list.txt')
    assert status == 'failed' and re.search(words, text), text
