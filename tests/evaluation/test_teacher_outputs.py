"""A teacher's output is what MMSegmentation predicts, also of one channel."""

import copy
import io
import math

import numpy as np
import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmengine.structures import PixelData
from mmseg.evaluation import IoUMetric
from mmseg.registry import DATASETS, MODELS
from PIL import Image
from random_outputs import TEMPERATURES

from mmseg_kd.distillers.teacher import EnsembleTeacher, FrozenTeacher
from mmseg_kd.doctor.diagnosis import Diagnosis
from mmseg_kd.doctor.network_checks import Network, check_classes, check_student
from mmseg_kd.doctor.teacher_checks import check_accuracy
from mmseg_kd.evaluation.teacher_outputs import analyze_teacher, full_size_logits, load_teachers, shown
from mmseg_kd.labeling import Labeler, agreement, write_labels
from mmseg_kd.testing.toys import toy_runner, toy_segmentor
from mmseg_kd.testing.trees import write_camvid_tree
from mmseg_kd.visualization.prediction_picture import find_examples

CLASSES = 11


@pytest.fixture(scope='module')
def camvid(tmp_path_factory):
    """The config of a segmentor on images of several sizes, three of them to validate on, and a checkpoint of it."""
    folder = tmp_path_factory.mktemp('camvid')
    write_camvid_tree(folder / 'data', images=3)
    model = toy_segmentor(4, CLASSES)
    toy_runner(toy_segmentor(4, CLASSES), folder / 'run', max_iters=1).train()
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='Resize', scale=(64, 48), keep_ratio=True),
        dict(type='LoadAnnotations'),
        dict(type='PackSegInputs'),
    ]
    dataset = dict(
        type='CamVidDataset',
        data_root=str(folder / 'data'),
        pipeline=pipeline,
        data_prefix=dict(img_path='img_dir/val', seg_map_path='ann_dir/val'),
    )
    config = ConfigDict(model=model, val_dataloader=dict(num_workers=0, dataset=dataset))
    return config, str(folder / 'run' / 'iter_1.pth')


def batches(config):
    dataset = DATASETS.build(copy.deepcopy(config.val_dataloader.dataset))
    return dataset, [pseudo_collate([dataset[i]]) for i in range(len(dataset))]


def test_miou_of_all_images_is_that_of_a_test_run(camvid):
    config, checkpoint = camvid
    teacher = load_teachers(config, checkpoint)['']
    told = []
    statistics = analyze_teacher(teacher, config, TEMPERATURES, 100, lambda *args: told.append(args))
    dataset, loader = batches(config)
    metric = IoUMetric()
    metric.dataset_meta = dataset.metainfo
    for batch in loader:
        metric.process(batch, [sample.to_dict() for sample in teacher.module.test_step(copy.deepcopy(batch))])
    expected = metric.evaluate(len(dataset))
    assert 100 * statistics.miou == pytest.approx(expected['mIoU'], abs=0.011)
    assert 100 * statistics.accuracy == pytest.approx(expected['aAcc'], abs=0.011)
    assert statistics.images == 3 and told == [(1, 3), (2, 3), (3, 3)] and statistics.pixels < 3 * 72 * 96


def test_a_sample_is_drawn_at_random_and_is_the_same_in_every_run(camvid, monkeypatch):
    config, checkpoint = camvid
    seen = []

    def read(teacher, batch):
        seen.append(batch['data_samples'][0].img_path)
        return torch.zeros(CLASSES, 72, 96)

    monkeypatch.setattr('mmseg_kd.evaluation.teacher_outputs.full_size_logits', read)
    config = copy.deepcopy(config)
    one, config.val_dataloader.num_workers = config.val_dataloader.dataset, 0
    config.val_dataloader.dataset = dict(type='ConcatDataset', datasets=[one] * 4)  # twelve items, three different ones
    teacher = load_teachers(config, checkpoint)['']
    for _ in range(2):
        assert analyze_teacher(teacher, config, [1], 3).images == 3
    # The shuffle of seed 0 begins with 6, 11, 4; they are read in order.
    assert [path[-5] for path in seen] == ['4', '3', '5'] * 2


def test_the_logits_are_those_of_the_prediction_and_follow_the_scale(camvid):
    config, checkpoint = camvid
    _, (batch, *_) = batches(config)
    (plain,) = load_teachers(config, checkpoint).values()
    (sample,) = plain.module.test_step(copy.deepcopy(batch))
    assert torch.equal(full_size_logits(plain, batch), sample.seg_logits.data)
    assert batch['inputs'][0].dtype == torch.uint8
    larger = FrozenTeacher(model=config.model, checkpoint=checkpoint, scale=2)
    logits = full_size_logits(larger, batch)
    assert logits.shape == (CLASSES, 72, 96) and not torch.allclose(logits, sample.seg_logits.data, atol=1e-3)
    half = FrozenTeacher(model=config.model, checkpoint=checkpoint, dtype='bfloat16')
    assert full_size_logits(half, batch).float().sub(sample.seg_logits.data).abs().max() < 0.1


def test_a_teacher_of_original_pixels_is_evaluated_on_the_files(camvid):
    config, checkpoint = camvid
    dataset, _ = batches(config)
    whole = copy.deepcopy(config)
    del whole.val_dataloader.dataset.pipeline[1]  # no Resize
    _, expected = batches(whole)
    teacher = FrozenTeacher(model=config.model, checkpoint=checkpoint, pixels='original')
    with shown(teacher, dataset):
        batch = pseudo_collate([dataset[1]])
    assert batch['inputs'][0].shape[1:] != expected[1]['inputs'][0].shape[1:]
    plain = FrozenTeacher(model=config.model, checkpoint=checkpoint)
    assert torch.equal(full_size_logits(teacher, batch), full_size_logits(plain, expected[1]))
    analyzed = [analyze_teacher(one, each, [1], 3).miou for one, each in ((teacher, config), (plain, whole))]
    assert analyzed[0] == analyzed[1]


def test_an_ensemble_answers_with_its_mean_probabilities(camvid):
    config, checkpoint = camvid
    _, (batch, *_) = batches(config)
    other = toy_segmentor(8, CLASSES, mean=[100.0, 100.0, 100.0])
    members = [FrozenTeacher(model=config.model, checkpoint=checkpoint), FrozenTeacher(model=other)]
    expected = torch.stack([full_size_logits(member, batch).softmax(0) for member in members]).mean(0)
    assert torch.allclose(full_size_logits(EnsembleTeacher(members), batch).exp(), expected, atol=1e-6)


def test_a_distillers_teachers_are_found_by_name(camvid):
    config, checkpoint = camvid
    one = ConfigDict(model=dict(teacher=dict(model=config.model, checkpoint='x.pth')))
    assert load_teachers(one)[''].checkpoint == 'x.pth' and load_teachers(one, checkpoint)[''].checkpoint == checkpoint
    assert one.model.teacher.checkpoint == 'x.pth'
    two = ConfigDict(model=dict(teacher=dict(a=dict(model=config.model), b=[dict(model=config.model)] * 2)))
    assert list(load_teachers(two)) == ['a', 'b'] and len(load_teachers(two)['b'].members) == 2
    with pytest.raises(ValueError, match='for a single teacher, but model.teacher has several'):
        load_teachers(two, checkpoint)
    with pytest.raises(ValueError, match='a segmentor needs its checkpoint'):
        load_teachers(config)


@pytest.mark.parametrize(
    'change, message',
    [
        (lambda config: config.val_dataloader.dataset.pipeline.pop(2), "put dict\\(type='LoadAnnotations'\\) into it"),
        (
            lambda config: config.val_dataloader.dataset.pipeline.insert(
                1, config.val_dataloader.dataset.pipeline.pop(2)
            ),
            'put LoadAnnotations after Resize',
        ),
    ],
)
def test_a_pipeline_without_usable_labels_is_refused(camvid, change, message):
    config, checkpoint = camvid
    config = copy.deepcopy(config)
    change(config)
    with pytest.raises(ValueError, match=message):
        analyze_teacher(load_teachers(config, checkpoint)[''], config, [1], 1)


def test_images_that_are_all_void_are_refused(camvid, monkeypatch):
    config, checkpoint = camvid
    teacher = load_teachers(config, checkpoint)['']
    monkeypatch.setattr('mmseg_kd.evaluation.teacher_outputs.full_size_logits', lambda *_: torch.zeros(CLASSES, 72, 96))
    load = DATASETS.get('CamVidDataset').__getitem__

    def void(self, index):
        item = load(self, index)
        item['data_samples'].gt_sem_seg = PixelData(data=torch.full((1, 72, 96), 255))
        return item

    monkeypatch.setattr(DATASETS.get('CamVidDataset'), '__getitem__', void)
    with pytest.raises(ValueError, match='at least one pixel must not be ignored'):
        analyze_teacher(teacher, config, [1], 2)
    with pytest.raises(ValueError, match='images must be >= 1, but is 0'):
        analyze_teacher(teacher, config, [1], 0)


@pytest.fixture(scope='module')
def binary(tmp_path_factory):
    """A network of one channel that says class 1 from a probability of 0.3 on, and two images with labels 0 and 1."""
    init_default_scope('mmseg')  # before that of each test
    folder = tmp_path_factory.mktemp('binary')
    draw = np.random.default_rng(0)
    for name, shape, top in (('img', (24, 32, 3), 256), ('ann', (24, 32), 2)):
        (folder / name).mkdir()
        for i in range(2):
            Image.fromarray(draw.integers(0, top, shape, dtype=np.uint8)).save(folder / name / f'{i}.png')
    model = toy_segmentor(4, 2, auxiliary=False)
    model.decode_head.update(out_channels=1, threshold=0.3, loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=True))
    dataset = dict(
        type='BaseSegDataset',
        data_root=str(folder),
        img_suffix='.png',
        data_prefix=dict(img_path='img', seg_map_path='ann'),
        metainfo=dict(classes=('sound', 'crack'), palette=[[0, 0, 0], [9, 9, 9]]),
        pipeline=[dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackSegInputs')],
    )
    config = ConfigDict(model=model, val_dataloader=dict(num_workers=0, dataset=dataset))
    torch.manual_seed(0)
    network = MODELS.build(model)
    batch = network.eval().data_preprocessor(batches(config)[1][0])
    with torch.no_grad():
        said, last = network(batch['inputs'], mode='tensor'), network.decode_head.conv_seg
        last.weight /= said.std()
        last.bias.copy_((last.bias - said.mean()) / said.std() - 0.4)  # probabilities on both sides of 0.3 and of 0.5
    torch.save(dict(state_dict=network.state_dict()), folder / 'binary.pth')
    return config, str(folder / 'binary.pth')


def test_one_channel_is_two_classes_and_its_threshold_decides(binary):
    config, checkpoint = binary
    teacher = FrozenTeacher(model=config.model, checkpoint=checkpoint)
    dataset, loader = batches(config)
    metric = IoUMetric()
    metric.dataset_meta = dataset.metainfo
    predicted = [teacher.module.test_step(copy.deepcopy(batch))[0] for batch in loader]
    p = torch.cat([sample.seg_logits.data.flatten() for sample in predicted]).double()
    assert ((p > 0.3) & (p < 0.5)).any() and (p < 0.3).any() and (p > 0.5).any()

    statistics = analyze_teacher(teacher, config, [1], 2)
    torch.testing.assert_close(full_size_logits(teacher, loader[0]).softmax(0)[1], predicted[0].seg_logits.data[0])
    metric.process(None, [sample.to_dict() for sample in predicted])
    expected = metric.evaluate(2)
    assert 100 * statistics.miou == pytest.approx(expected['mIoU'], abs=0.011)
    assert 100 * statistics.accuracy == pytest.approx(expected['aAcc'], abs=0.011)
    assert statistics.confidence == pytest.approx(float(torch.where(p > 0.3, p, 1 - p).mean()), abs=1e-5)
    entropy = -(p * p.log() + (1 - p) * (1 - p).log()).mean()
    assert statistics.mean_entropy()[0] == pytest.approx(float(entropy) / math.log(2), abs=1e-4)
    assert statistics.max_entropy == pytest.approx(math.log(2))

    pair = EnsembleTeacher([teacher, teacher])
    torch.testing.assert_close(
        full_size_logits(pair, loader[0]).softmax(0), full_size_logits(teacher, loader[0]).softmax(0)
    )


def test_pictures_show_what_a_network_of_one_channel_predicts(binary):
    config, checkpoint = binary
    config = Config(copy.deepcopy(config.to_dict()))
    config.model = dict(
        type='Distiller', student=config.model, teacher=dict(model=config.model, checkpoint=checkpoint), terms=dict()
    )
    (example,) = find_examples(config, checkpoint, 1).shown[:1]
    assert example.labels['prediction'].dtype == np.int64 and set(np.unique(example.labels['prediction'])) == {0, 1}
    np.testing.assert_array_equal(example.labels['teacher'], example.labels['prediction'])


def test_labels_are_what_a_network_of_one_channel_predicts(binary, tmp_path):
    config, checkpoint = binary
    labeler = Labeler(Config(dict(model=config.model, test_dataloader=config.val_dataloader)), checkpoint)
    folder = config.val_dataloader.dataset.data_root + '/img'
    predicted = FrozenTeacher(model=config.model, checkpoint=checkpoint).module.test_step(batches(config)[1][0])[0]
    probabilities = labeler(f'{folder}/0.png')
    torch.testing.assert_close(probabilities[1], predicted.seg_logits.data[0])
    torch.testing.assert_close(probabilities.sum(0), torch.ones(24, 32))
    summary = write_labels(
        labeler, ['0.png'], folder, str(tmp_path), labeler.classes, labeler.palette, top_k=2, stride=1
    )
    written = np.asarray(Image.open(tmp_path / '0.png'))
    np.testing.assert_array_equal(written, predicted.pred_sem_seg.data[0].numpy())
    assert summary['images']['0']['share'][1] == pytest.approx((written == 1).mean(), abs=1e-6)
    assert agreement(labeler, labeler, [f'{folder}/0.png']) == 100

    def certain(path):
        return torch.from_numpy(np.stack([written == 0, written == 1])).float()

    assert agreement(labeler, certain, [f'{folder}/0.png']) == 100


def test_the_doctor_counts_two_classes_of_one_channel(binary):
    config, checkpoint = binary
    config = Config(dict(copy.deepcopy(config.to_dict()), val_evaluator=dict(type='IoUMetric')))
    lines = io.StringIO()
    diagnosis = Diagnosis(lines)
    student = diagnosis.run('student', check_student, config)
    loader = Runner.build_dataloader(dict(config.val_dataloader, batch_size=1, sampler=dict(type='DefaultSampler')))
    diagnosis.run('classes', check_classes, config, student, [], dict(val_dataloader=loader))
    assert student.num_classes == 2 and '2 in network, val_dataloader' in lines.getvalue()
    loader.dataset._metainfo['classes'] = ('crack',)
    diagnosis.run('classes', check_classes, config, student, [], dict(val_dataloader=loader))
    assert "name the background first, as in metainfo=dict(classes=('background', 'crack'))" in lines.getvalue()
    loader = Runner.build_dataloader(dict(config.val_dataloader, batch_size=1, sampler=dict(type='DefaultSampler')))
    teacher = Network(
        'teacher',
        'model.teacher',
        config.model,
        student.skeleton,
        FrozenTeacher(model=config.model, checkpoint=checkpoint),
    )
    diagnosis.run("teacher's mIoU", check_accuracy, teacher, loader, 'cpu', 2, 60)
    assert '% on 2 of 2 validation images' in lines.getvalue()
