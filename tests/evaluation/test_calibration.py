import copy
import csv
import io
import math
import pickle
import sys

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

from mmseg_kd.distillers.teacher import EnsembleTeacher, FrozenTeacher
from mmseg_kd.doctor.diagnosis import Diagnosis
from mmseg_kd.doctor.network_checks import Network, check_classes, check_student
from mmseg_kd.doctor.teacher_checks import check_accuracy
from mmseg_kd.evaluation.calibration import (
    OutputStatistics,
    analyze_teacher,
    draw_teacher,
    entropy_csv,
    full_size_logits,
    load_teachers,
    reliability_csv,
    suggest_temperatures,
    teacher_report,
)
from mmseg_kd.labeling import Labeler, agreement, write_labels
from mmseg_kd.testing.toys import toy_runner, toy_segmentor
from mmseg_kd.testing.trees import write_camvid_tree
from mmseg_kd.visualization.prediction_picture import find_examples

TEMPERATURES = [1, 2, 4, 8, 16]
CLASSES = 11


def images(num=3, classes=5, size=(12, 17), scale=4.0, seed=0):
    """Logits and labels, right more often than by chance, a stripe of void."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(num):
        labels = torch.randint(0, classes, size, generator=generator)
        logits = scale * torch.randn(classes, *size, generator=generator)
        logits.scatter_add_(0, labels[None], torch.full((1, *size), 3.0))
        labels[:2] = 255
        yield logits, labels


def statistics_of(pairs, temperatures=TEMPERATURES, classes=5):
    statistics = OutputStatistics(classes, temperatures)
    for logits, labels in pairs:
        statistics.update(logits, labels)
    return statistics


def reference(pairs, temperature):
    """All pixels at once, in float64: probabilities (P, C), labels (P,), entropies (P,) in nats."""
    logits = np.concatenate([z.flatten(1).T.double().numpy() for z, _ in pairs])
    labels = np.concatenate([y.flatten().numpy() for _, y in pairs])
    kept = labels != 255
    z = logits[kept] / temperature
    p = np.exp(z - z.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    return p, labels[kept], -(p * np.log(np.maximum(p, 1e-300))).sum(1)


def test_expected_calibration_error_of_four_pixels_by_hand():
    """Two at confidence 0.9 (one right), one at 0.62 (right), one at 0.7 (wrong): |1 - 1.8| + |1 - 0.62| + |0 - 0.7|.

    No confidence lies on an edge k / 15 of a bin: rounding would decide on which side of it.
    """
    confidence = torch.tensor([0.9, 0.9, 0.62, 0.7])
    logits = torch.stack([confidence.log(), (1 - confidence).log()])[:, None]
    statistics = statistics_of([(logits, torch.tensor([[0, 1, 0, 1]]))], [1], classes=2)
    assert statistics.ece == pytest.approx((0.8 + 0.38 + 0.7) / 4, abs=1e-6)
    assert statistics.accuracy == 0.5 and statistics.confidence == pytest.approx(3.12 / 4, abs=1e-6)
    filled = [
        (round(low, 3), round(high, 3), pixels, accuracy, round(mean, 4))
        for low, high, pixels, accuracy, mean in statistics.reliability()
        if pixels
    ]
    assert filled == [(0.6, 0.667, 1, 1.0, 0.62), (0.667, 0.733, 1, 0.0, 0.7), (0.867, 0.933, 2, 0.5, 0.9)]


def test_calibration_matches_brute_force():
    pairs = list(images(size=(40, 41)))
    statistics = statistics_of(pairs)
    p, labels, _ = reference(pairs, 1)
    confidence, right = p.max(1), p.argmax(1) == labels
    expected = 0.0
    for low in np.arange(15) / 15:
        inside = (confidence > low) & (confidence <= low + 1 / 15)
        if inside.any():
            expected += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    assert statistics.ece == pytest.approx(expected, abs=1e-6)
    assert statistics.accuracy == pytest.approx(right.mean()) and statistics.pixels == len(labels)


def test_a_network_that_is_sure_and_right_has_no_error_and_one_that_is_sure_and_wrong_all_of_it():
    logits = torch.full((3, 2, 2), -50.0)
    logits[1] = 50.0
    assert statistics_of([(logits, torch.ones(2, 2, dtype=torch.long))], classes=3).ece == pytest.approx(0, abs=1e-9)
    assert statistics_of([(logits, torch.zeros(2, 2, dtype=torch.long))], classes=3).ece == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize('temperature', TEMPERATURES)
def test_entropy_histogram_matches_brute_force(temperature):
    pairs = list(images(size=(40, 41)))
    statistics = statistics_of(pairs)
    i = TEMPERATURES.index(temperature)
    _, labels, entropy = reference(pairs, temperature)
    expected, _ = np.histogram(entropy / math.log(5), bins=20, range=(0, 1))
    # A pixel on an edge may fall on its other side in single precision.
    assert np.abs(statistics.shares(20)[i] - expected / len(labels)).sum() <= 4 / len(labels)
    assert statistics.mean_entropy()[i] == pytest.approx(entropy.mean() / math.log(5), abs=1e-5)
    assert statistics.median_entropy()[i] == pytest.approx(np.median(entropy) / math.log(5), abs=1 / 200)
    assert statistics.shares().sum(1) == pytest.approx(1)


def test_image_by_image_equals_all_at_once_and_chunk_by_chunk(monkeypatch):
    pairs = list(images(num=4))
    streamed = statistics_of(pairs)
    tall = torch.cat([z for z, _ in pairs], dim=1), torch.cat([y for _, y in pairs])
    at_once = statistics_of([tall])
    monkeypatch.setattr('mmseg_kd.evaluation.calibration.PIXELS_AT_ONCE', 7)
    in_chunks = statistics_of([tall])
    assert (streamed.images, at_once.images) == (4, 1)
    for other in (at_once, in_chunks):
        assert np.array_equal(streamed.iou, other.iou) and streamed.pixels == other.pixels == 4 * 10 * 17
        # The last digit of an exponential depends on its place in a vector, so a pixel on an edge may change its bin.
        assert np.abs(streamed.shares() - other.shares()).sum() <= 4 / streamed.pixels
        assert streamed.ece == pytest.approx(other.ece, abs=1e-6)
        assert streamed.mean_entropy() == pytest.approx(other.mean_entropy(), abs=1e-6)


def test_memory_does_not_grow_with_the_pixels():
    few, many = (len(pickle.dumps(statistics_of(images(num, size=size)))) for num, size in ((1, (9, 9)), (9, (50, 60))))
    assert abs(few - many) < 50


def test_a_high_temperature_gives_the_greatest_entropy_and_a_low_one_none():
    statistics = statistics_of(images(), [1e-4, 1e4])
    assert statistics.shares(10)[1, -1] == 1 and statistics.mean_entropy()[1] == pytest.approx(1, abs=1e-6)
    assert statistics.shares(10)[0, 0] == 1 and statistics.mean_entropy()[0] == pytest.approx(0, abs=1e-3)
    assert statistics.median_entropy()[1] > 0.99 and statistics.median_entropy()[0] < 0.01


def test_equal_logits_have_the_entropy_of_all_classes_at_every_temperature():
    statistics = statistics_of([(torch.zeros(5, 3, 3), torch.zeros(3, 3, dtype=torch.long))])
    assert statistics.mean_entropy() == pytest.approx(1) and (statistics.shares(200)[:, -1] == 1).all()
    assert statistics.max_entropy == pytest.approx(math.log(5))


def test_void_pixels_count_for_nothing():
    ((logits, labels),) = images(num=1)
    other = logits.clone()
    other[:, :2] = float('nan')
    some, same = statistics_of([(logits, labels)]), statistics_of([(other, labels)])
    assert some.pixels == 10 * 17 == same.pixels
    assert np.array_equal(some.shares(), same.shares()) and some.ece == same.ece and np.array_equal(some.iou, same.iou)
    statistics = OutputStatistics(5, [1], void=[255, 0])
    statistics.update(logits, labels)
    assert statistics.pixels == int(((labels != 255) & (labels != 0)).sum())


def test_miou_leaves_out_classes_that_are_nowhere():
    logits = torch.nn.functional.one_hot(torch.tensor([[0, 0, 1, 1]]), 4).permute(2, 0, 1).float()
    statistics = statistics_of([(logits, torch.tensor([[0, 1, 1, 1]]))], classes=4)
    assert statistics.iou[:2].tolist() == [1 / 2, 2 / 3] and np.isnan(statistics.iou[2:]).all()
    assert statistics.miou == pytest.approx((1 / 2 + 2 / 3) / 2)


@pytest.mark.parametrize(
    'change, message',
    [
        (lambda z, y: (z, y + 3), 'labels must lie in 0..4 or be void, but an image holds 3..7'),
        (
            lambda z, y: (z, y[:, :4]),
            r'labels must have the size of the original image, \(12, 17\), but have \(12, 4\)',
        ),
        (lambda z, y: (z * float('nan'), y), "teacher's logits must be finite"),
    ],
)
def test_what_cannot_be_counted_is_refused(change, message):
    ((logits, labels),) = images(num=1)
    labels = labels.clamp(max=4)
    with pytest.raises(ValueError, match=message):
        statistics_of([change(logits, labels)])


@pytest.mark.parametrize(
    'arguments, message',
    [
        ((1, [1]), 'at least 2 logits a pixel, but the network gives 1'),
        ((5, []), 'different numbers > 0, at least one, but are \\[\\]'),
        ((5, [1, 0]), 'but are \\[1, 0\\]'),
        ((5, [2, 2]), 'but are \\[2, 2\\]'),
    ],
)
def test_impossible_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        OutputStatistics(*arguments)


@pytest.mark.parametrize(
    'medians, good, word',
    [
        ([0.02, 0.3, 0.8, 0.95], [2, 4], 'those whose median entropy'),
        ([0.02, 0.05, 0.95, 0.99], [math.sqrt(8)], 'between those below and those above'),
        ([0.01, 0.02, 0.03, 0.04], [16], 'twice the highest'),
        ([0.95, 0.96, 0.97, 0.98], [0.5], 'half the lowest'),
    ],
)
def test_temperatures_are_suggested_by_their_median(medians, good, word):
    suggested, rule = suggest_temperatures([1, 2, 4, 8], medians)
    assert suggested == pytest.approx(good) and word in rule


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

    monkeypatch.setattr('mmseg_kd.evaluation.calibration.full_size_logits', read)
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
    with pytest.raises(ValueError, match='a plain segmentor needs its checkpoint'):
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
    monkeypatch.setattr('mmseg_kd.evaluation.calibration.full_size_logits', lambda *_: torch.zeros(CLASSES, 72, 96))
    load = DATASETS.get('CamVidDataset').__getitem__

    def void(self, index):
        item = load(self, index)
        item['data_samples'].gt_sem_seg = PixelData(data=torch.full((1, 72, 96), 255))
        return item

    monkeypatch.setattr(DATASETS.get('CamVidDataset'), '__getitem__', void)
    with pytest.raises(ValueError, match='at least one pixel must not be void'):
        analyze_teacher(teacher, config, [1], 2)
    with pytest.raises(ValueError, match='images must be >= 1, but is 0'):
        analyze_teacher(teacher, config, [1], 0)


def test_the_report_says_what_was_found_and_what_to_try():
    statistics = statistics_of(images())
    text = teacher_report('a teacher', statistics)
    (found,) = [line.split('|')[2:-1] for line in text.splitlines() if line.startswith('| teacher')]
    expected = [100 * value for value in (statistics.miou, statistics.accuracy, statistics.confidence, statistics.ece)]
    assert [float(cell) for cell in found] == pytest.approx(expected, abs=0.0051)
    assert 'log C = 1.609 nats' in text
    (row,) = [line.split('|')[1:-1] for line in text.splitlines() if line.startswith('| 0.3 to 0.4')]
    assert row[1].strip() == '0.48 to 0.64'
    assert [float(cell) for cell in row[2:]] == pytest.approx(100 * statistics.shares(10)[:, 3], abs=0.0051)
    suggested, rule = suggest_temperatures(TEMPERATURES, statistics.median_entropy())
    assert f'Temperatures to try: {", ".join(f"{t:g}" for t in suggested)}. Rule: {rule}. A heuristic' in text


def test_csv_holds_every_bin_of_both_diagrams():
    statistics = statistics_of(images(), [1, 2.5])
    entropy = list(csv.DictReader(entropy_csv(statistics).splitlines()))
    assert len(entropy) == 200 and list(entropy[0])[-2:] == ['share_T1', 'share_T2.5']
    assert [float(row['share_T2.5']) for row in entropy] == pytest.approx(statistics.shares()[1], abs=1e-6)
    assert float(entropy[-1]['to_nats']) == pytest.approx(math.log(5), abs=1e-4)
    reliability = list(csv.DictReader(reliability_csv(statistics).splitlines()))
    assert sum(int(row['pixels']) for row in reliability) == statistics.pixels and len(reliability) == 15


def test_bins_that_do_not_divide_are_refused():
    with pytest.raises(ValueError, match='bins must divide 200, but is 7'):
        statistics_of(images()).shares(7)


def test_the_plot_is_a_picture_of_both_diagrams(tmp_path):
    pytest.importorskip('matplotlib')
    draw_teacher('a teacher', statistics_of(images()), tmp_path / 'a.png')
    draw_teacher('a teacher', statistics_of(images(scale=1.0)), tmp_path / 'b.png')
    first, second = (np.asarray(Image.open(tmp_path / name).convert('RGB')) for name in ('a.png', 'b.png'))
    assert first.shape == (528, 1320, 3) and first.std() > 10
    assert (first[:, :800] != second[:, :800]).any() and (first[:, 850:] != second[:, 850:]).any()


def test_matplotlib_is_optional(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'matplotlib', None)
    with pytest.raises(ImportError) as caught:
        draw_teacher('a teacher', statistics_of(images()), tmp_path / 'a.png')
    assert str(caught.value) == 'plots need matplotlib: pip install "mmseg-kd[report]"'


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
