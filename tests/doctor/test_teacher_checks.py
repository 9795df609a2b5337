import io
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from cached_distillation import cache, paired, with_cache, write_config
from mmengine.config import Config
from mmengine.runner import Runner
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import nn

from mmseg_kd.distillers import CachedTeacher
from mmseg_kd.distillers.cached_teacher import PartlyCachedTeacher
from mmseg_kd.distillers.teacher import build_teachers
from mmseg_kd.doctor.diagnosis import Diagnosis
from mmseg_kd.doctor.loss_parts import losses_of
from mmseg_kd.doctor.network_checks import Network
from mmseg_kd.doctor.step_checks import check_model
from mmseg_kd.doctor.teacher_checks import (
    Accuracy,
    Measured,
    check_accuracy,
    check_cache,
    check_cached_images,
    check_knowledge,
    check_partition,
    check_start,
    measure,
    published_miou,
    summarize,
)
from mmseg_kd.evaluation.output_knowledge import OutputKnowledge
from mmseg_kd.models.class_map import ClassMap, MappedHead

PUBLISHED = 'mmseg::pspnet/pspnet_r101-d8_4xb2-80k_cityscapes-512x1024.py'


def network(config=None, checkpoint=None, module=None, scale=1):
    head = SimpleNamespace(num_classes=3, ignore_index=255)
    return Network(
        'teacher',
        'model.teacher',
        {},
        SimpleNamespace(decode_head=head),
        SimpleNamespace(config=config, checkpoint=checkpoint, module=module, scale=scale, dtype=None, pixels='student'),
    )


def test_accuracy_of_a_hand_computed_case():
    # Two images of 10 pixels. Class 0: 8 + 6 labeled, 7 + 6 of them right; class 1: 2 + 4 labeled, 2 + 1 right; what
    # is wrong is taken for the other class, but for two pixels, which go to class 2, which occurs in no label.
    intersections = np.array([[7, 2, 0], [6, 1, 0]], float)
    labels = np.array([[8, 2, 0], [6, 4, 0]], float)
    predicted = np.array([[7, 3, 0], [7, 1, 2]], float)
    unions = labels + predicted - intersections
    found = summarize(intersections, unions, labels)
    ious = [13 / (14 + 14 - 13), 3 / (6 + 4 - 3), 0]
    assert found.miou == pytest.approx(100 * np.mean(ious))
    assert found.pixels == pytest.approx(100 * 16 / 20)
    # Class 0 everywhere: 14 of 20 pixels, the IoU of class 1 is 0, and class 2 does not occur.
    assert found.constant_miou == pytest.approx(100 * 0.7 / 2) and found.constant_pixels == pytest.approx(70)


def test_std_is_that_over_images_sampled_with_replacement():
    one = np.array([[10.0, 0.0], [5.0, 5.0]])
    intersections, unions = np.array([[10.0, 0.0], [2.0, 3.0]]), np.array([[10.0, 0.0], [7.0, 8.0]])
    # Both twice: 100; 100 * (2 / 7 + 3 / 8) / 2; both once, which is as likely as the two together.
    twice, mixed = 100 * (2 / 7 + 3 / 8) / 2, 100 * (12 / 17 + 3 / 8) / 2
    values = np.array([100, twice, mixed, mixed])
    assert summarize(intersections, unions, one).std == pytest.approx(values.std(), rel=0.1)
    same = np.repeat(intersections[1:], 4, axis=0), np.repeat(unions[1:], 4, axis=0), np.repeat(one[1:], 4, axis=0)
    assert summarize(*same).std == pytest.approx(0, abs=1e-9)


class Oracle(nn.Module):
    """Predicts the remainder of its input's first channel by 3."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.sizes = []

    def data_preprocessor(self, batch, training):
        assert not training
        return dict(inputs=torch.stack(batch['inputs']), data_samples=batch['data_samples'])

    def predict(self, inputs, samples):
        self.sizes.append(tuple(inputs.shape[-2:]))
        for sample, image in zip(samples, inputs):
            labels = image[:1, : sample.gt_sem_seg.shape[0], : sample.gt_sem_seg.shape[1]] % 3
            sample.pred_sem_seg = PixelData(data=labels.long())
        return samples


class Images:
    """Image i has the value i; its label is 0, with one row of ignored pixels."""

    metainfo = dict(classes=('a', 'b', 'c'))

    def __init__(self, ignore_index=255):
        self.ignore_index = ignore_index

    def __len__(self):
        return 30

    def __getitem__(self, index):
        labels = torch.zeros(1, 4, 4, dtype=torch.long)
        labels[:, 0] = self.ignore_index
        sample = SegDataSample(gt_sem_seg=PixelData(data=labels))
        return dict(inputs=torch.full((3, 4, 4), float(index)), data_samples=sample)


@pytest.mark.parametrize('ignore_index', [255, 100, 2])
def test_images_are_spread_over_the_data_and_ignored_pixels_do_not_count(ignore_index):
    loader = SimpleNamespace(dataset=Images(ignore_index))
    intersections, unions, labels, knowledge = measure(network(module=Oracle()), loader, 'cpu', 4, 60, ignore_index)
    # Images 0, 10, 19 and 29 are predicted as 0, 1, 1 and 2.
    assert intersections.tolist() == [[12, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0]]
    assert unions.tolist() == [[12, 0, 0], [12, 12, 0], [12, 12, 0], [12, 0, 12]]
    assert labels.tolist() == [[12, 0, 0]] * 4 and knowledge is None


def test_the_time_limit_applies_after_one_image():
    oracle = Oracle()
    assert len(measure(network(module=oracle, scale=2), SimpleNamespace(dataset=Images()), 'cpu', 30, 0)[0]) == 1
    assert oracle.sizes == [(8, 8)]


@pytest.mark.parametrize(
    'checkpoint, value',
    [
        ('auto', 79.76),
        ('downloads/pspnet_r101-d8_512x1024_80k_cityscapes_20200606_112211-e1e1100f.pth', 79.76),
        ('work_dirs/mine.pth', 'the metafile of mmseg has other weights'),
        (None, 'the metafile of mmseg has other weights'),
    ],
)
def test_the_metafile_is_about_its_own_weights(checkpoint, value):
    found, reason = published_miou(network(PUBLISHED, checkpoint))
    assert (found, reason) == (value, '') if isinstance(value, float) else (found, reason) == (None, value)


@pytest.mark.parametrize(
    'config, reason',
    [
        (None, 'an inline model is no config of a library, so it has no metafile'),
        ('work/teacher.py', 'work/teacher.py is no config of a library, so it has no metafile'),
        ('mmseg_kd::demo/teacher.py', 'no metafile of mmseg_kd has an mIoU of demo/teacher.py'),
    ],
)
def test_the_reason_why_there_is_no_published_miou(config, reason):
    assert published_miou(network(config, 'teacher.pth')) == (None, reason)


@pytest.mark.parametrize(
    'number, stated, accuracy, status, words',
    [
        (50, 60.0, (58, 1.0, 90, 20, 60), 'ok', '58.0 % on 50 of 30 validation images (± 1.0); published: 60.0 %'),
        (50, 60.0, (56, 1.0, 90, 20, 60), 'warning', 'compare the pipeline of val_dataloader'),
        (5, 60.0, (56, 1.0, 90, 20, 60), 'ok', 'published: 60.0 %'),
        (50, 60.0, (29, 30.0, 90, 20, 60), 'failed', 'but the published mIoU is 60.0 %; check checkpoint and config'),
        (5, 60.0, (29, 30.0, 90, 20, 60), 'warning', 'or check more images'),
        (
            50,
            None,
            (20, 1.0, 60, 20, 60),
            'failed',
            '20.0 % on 50 of 30 validation images (60 % of the pixels), but one '
            'class everywhere would reach 20.0 % (60 %)',
        ),
        (50, None, (19, 1.0, 70, 20, 60), 'ok', 'no published mIoU: why'),
        (9, None, (20, 1.0, 60, 20, 60), 'warning', 'but one class everywhere'),
    ],
)
def test_the_finding_for_an_accuracy(monkeypatch, number, stated, accuracy, status, words):
    room = 'mmseg_kd.doctor.teacher_checks'
    monkeypatch.setattr(f'{room}.measure', lambda *_: [np.zeros(number)] * 3)
    monkeypatch.setattr(f'{room}.summarize', lambda *_: Accuracy(*accuracy))
    monkeypatch.setattr(f'{room}.published_miou', lambda _: (stated, 'why'))
    diagnosis = Diagnosis(io.StringIO())
    diagnosis.run('mIoU', check_accuracy, network(), SimpleNamespace(dataset=Images()), 'cpu', 50, 60)
    (finding,) = diagnosis.findings
    assert finding.status == status and words in finding.text


def told(check, *args):
    diagnosis = Diagnosis(io.StringIO())
    diagnosis.run('check', check, *args)
    (finding,) = diagnosis.findings
    return finding.status, finding.text


def test_what_the_output_says_beyond_the_labels():
    counts = [np.array([row], float) for row in ([90, 40, 0], [100, 100, 10], [95, 80, 0])]
    knowledge = OutputKnowledge(right=130, entropy=26.0, ignored=25, sure=5, pixels=200)
    assert told(check_knowledge, network(), Measured(*counts, knowledge)) == (
        'ok',
        'an IoU of 50 % or more for 1 of 3 classes; entropy where it is right 0.2 nats per pixel (0: like labels; '
        '1.1: all classes alike); sure (>= 0.9) of 20 % of the pixels that the labels ignore, which are 12 % of all',
    )
    partial = network()
    partial.skeleton.decode_head = MappedHead(nn.Identity(), ClassMap({'a': [0], 'b': [1], 'c': []}, 4))
    status, text = told(check_knowledge, partial, Measured(*counts, OutputKnowledge(right=1, pixels=1)))
    assert text.startswith('mIoU 65.0 % of the 2 classes that it knows, of 3; ')
    assert text.endswith('no pixel is ignored by the labels')
    assert told(check_knowledge, network(), Measured(*counts))[0] == 'skipped'


@pytest.mark.parametrize(
    'teachers, status, words',
    [
        ([70], 'ok', 'a.pth: 60.0 % before training, 10.0 points less than the teacher on the same images'),
        ([50, None], 'warning', 'more than the 50.0 % of the teacher on the same images: terms pull the student'),
        ([], 'ok', 'a.pth: 60.0 % before training'),
    ],
)
def test_the_start_of_the_student_is_compared_with_the_teacher(monkeypatch, teachers, status, words):
    def measured(miou):
        return None if miou is None else Measured(*(np.array([[number]], float) for number in (miou, 100, 100)))

    room = 'mmseg_kd.doctor.teacher_checks'
    monkeypatch.setattr(f'{room}.trained_network', lambda *_: SimpleNamespace(test_step=None))
    monkeypatch.setattr(f'{room}.count', lambda *_: measured(60))
    loader, config = SimpleNamespace(dataset=Images()), Config(dict(load_from='a.pth'))
    found = told(check_start, config, list(map(measured, teachers)), loader, 50, 60)
    assert found[0] == status and words in found[1]


def test_a_teacher_with_other_classes_is_skipped():
    teacher = network()
    teacher.skeleton.decode_head.num_classes = 19
    diagnosis = Diagnosis(io.StringIO())
    diagnosis.run('mIoU', check_accuracy, teacher, SimpleNamespace(dataset=Images()), 'cpu', 50, 60)
    assert diagnosis.findings[0].status == 'skipped'


def test_the_partition_of_a_teacher_is_reported_or_refused(tmp_path):
    def lines(partition, trained="train_dataloader = dict(dataset=dict(partition='a/1_8'))"):
        torch.save(dict(meta=dict(cfg=trained)), tmp_path / 'a.pth')
        config = Config(
            dict(
                train_dataloader=dict(dataset=dict(partition=partition)),
                model=dict(teacher=dict(config='a.py', checkpoint=str(tmp_path / 'a.pth'))),
            )
        )
        out = io.StringIO()
        Diagnosis(out).run("teacher's partition", check_partition, config)
        return out.getvalue()

    assert 'model.teacher: trained on a/1_8, like the student' in lines('a/1_8')
    assert 'failed' in lines('a/1_4').lower() and "was trained on 'a/1_8'" in lines('a/1_4')
    assert 'no checkpoint names' in lines('a/1_4', trained='')


def test_a_cache_is_described_and_compared_with_the_images(tmp_path):
    config = write_config(tmp_path)
    config = with_cache(config, cache(config, tmp_path / 'cache'))
    model, out = MODELS.build(config.model), io.StringIO()
    viewed = Diagnosis(out).run('cache', check_cache, config, model.teachers)
    assert 'cache: 2 views of 5 images, ' in out.getvalue()
    assert '(backbone[2] as float16, logits as float16), made in ' in out.getvalue()
    loader = Runner.build_dataloader(viewed.train_dataloader.to_dict(), seed=0)
    Diagnosis(out).run('cache', check_cached_images, model, loader)
    assert 'made of these images, this pipeline' in out.getvalue()
    loader.dataset.view_seed = 7
    Diagnosis(out).run('cache', check_cached_images, model, loader)
    assert 'train_dataloader.dataset.view_seed = 0, but this config has 7' in out.getvalue()


def test_a_cache_of_two_teachers_is_described_once_and_their_networks_answer_for_mixtures(tmp_path):
    config = paired(write_config(tmp_path))
    config.train_dataloader.sampler = dict(type='StreamSampler')
    config = with_cache(config, cache(config, tmp_path / 'cache'))
    teachers, out = build_teachers(config.model.teacher), io.StringIO()
    viewed = Diagnosis(out).run('cache', check_cache, config, teachers)
    assert out.getvalue().count('2 views of 5 images') == 1
    assert 'the teacher is built for mixtures of images alone' in out.getvalue()
    model = Diagnosis(out).run('model', check_model, viewed, 'cpu', teachers)
    kinds = {name: type(teacher) for name, teacher in model.teachers.items()}
    assert kinds == dict(deep=CachedTeacher, wide=PartlyCachedTeacher)
    loader = Runner.build_dataloader(viewed.train_dataloader.to_dict(), seed=0)
    Diagnosis(out).run('cache', check_cached_images, model, loader)
    losses = losses_of(model, next(iter(loader)))
    assert 'failed' not in out.getvalue() and {'loss_deep', 'loss_mixed'} <= losses.keys()
