import copy

import pytest
import torch
from mmseg.models import SegDataPreProcessor
from mmseg.registry import MODELS

from mmseg_kd.distillers.normalization import Renormalize
from mmseg_kd.testing.toys import MEAN, STD, toy_batch

SETTINGS = dict(mean=MEAN, std=STD, bgr_to_rgb=True, size=(48, 48))


@pytest.fixture
def preprocessors():
    return MODELS.build(dict(type='BranchPreprocessor', **SETTINGS)), SegDataPreProcessor(**SETTINGS)


def same(samples, others):
    return len(samples) == len(others) and all(
        torch.equal(a.gt_sem_seg.data, b.gt_sem_seg.data) and a.metainfo == b.metainfo for a, b in zip(samples, others)
    )


@pytest.mark.parametrize('branches', [1, 2])
@pytest.mark.parametrize('training', [True, False])
def test_every_branch_is_preprocessed_as_a_batch_of_its_own(preprocessors, branches, training):
    parts = [toy_batch(num, size=size, seed=num) for num, size in ((2, 32), (3, 40), (1, 48))[: branches + 1]]
    batch = preprocessors[0](copy.deepcopy(dict(labeled=parts[0], unlabeled=parts[1:])), training)
    labeled, *unlabeled = [preprocessors[1](part, training) for part in parts]
    assert set(batch) == {'inputs', 'data_samples'}
    assert torch.equal(batch['inputs']['labeled'], labeled['inputs'])
    assert same(batch['data_samples']['labeled'], labeled['data_samples'])
    assert len(batch['inputs']['unlabeled']) == len(batch['data_samples']['unlabeled']) == branches
    for inputs, samples, expected in zip(batch['inputs']['unlabeled'], batch['data_samples']['unlabeled'], unlabeled):
        assert torch.equal(inputs, expected['inputs']) and same(samples, expected['data_samples'])


@pytest.mark.parametrize('training', [True, False])
def test_a_plain_batch_passes_as_always(preprocessors, training):
    got, expected = [each(toy_batch(2), training) for each in preprocessors]
    assert torch.equal(got['inputs'], expected['inputs']) and same(got['data_samples'], expected['data_samples'])


def test_unlabeled_samples_need_no_labels(preprocessors):
    batch = dict(labeled=toy_batch(1), unlabeled=[toy_batch(2)])
    for sample in batch['unlabeled'][0]['data_samples']:
        del sample.gt_sem_seg
    samples = preprocessors[0](batch, True)['data_samples']['unlabeled'][0]
    assert len(samples) == 2 and samples[0].img_shape == (32, 32) and 'gt_sem_seg' not in samples[0]


def test_teachers_see_through_it_as_through_the_plain_one(preprocessors):
    images = torch.randn(1, 3, 4, 4)
    teacher = SegDataPreProcessor(mean=[0.5], std=[2.0], size=(4, 4))
    first, second = [Renormalize(each, teacher)(images) for each in preprocessors]
    assert torch.equal(first, second) and not torch.equal(first, images)


def test_the_padding_of_unlabeled_images_is_255_whatever_that_of_labels_is():
    preprocessor = MODELS.build(dict(type='BranchPreprocessor', **SETTINGS, seg_pad_val=0))
    samples = preprocessor(dict(labeled=toy_batch(1), unlabeled=[toy_batch(1)]), True)['data_samples']
    assert (samples['labeled'][0].gt_sem_seg.data[:, 32:] == 0).all()
    assert (samples['unlabeled'][0][0].gt_sem_seg.data[:, 32:] == 255).all()
    assert preprocessor.seg_pad_val == 0
