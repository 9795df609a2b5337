import math
import sys

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from mmseg_kd.io.checkpoint import CheckpointError
from mmseg_kd.testing.toys import toy_runner, toy_segmentor
from mmseg_kd.testing.trees import write_camvid_tree
from mmseg_kd.visualization.prediction_picture import (
    Example,
    Examples,
    best_and_worst,
    draw_examples,
    examples_report,
    find_examples,
    image_iou,
)

CLASSES, PALETTE = ['sky', 'tree', 'road'], [[10, 20, 30], [200, 0, 100], [0, 90, 255]]
NAN = math.nan


@pytest.mark.parametrize(
    'truth, predicted, iou',
    [
        ([[0, 0], [1, 1]], [[0, 0], [1, 1]], 1),
        # Class 0: 1 of 2. Class 1: 2 of 3. Class 2 is in neither map.
        ([[0, 0], [1, 1]], [[0, 1], [1, 1]], (1 / 2 + 2 / 3) / 2),
        # Class 2 is predicted where it is not: 0 of 1. Class 0: 1 of 2. Class 1: 2 of 2.
        ([[0, 0], [1, 1]], [[0, 2], [1, 1]], (1 / 2 + 1 + 0) / 3),
        # What is predicted in void is neither right nor wrong.
        ([[0, 0], [255, 255]], [[0, 0], [1, 2]], 1),
        ([[0, 255], [1, 1]], [[1, 0], [1, 1]], (0 + 2 / 3) / 2),
        ([[255, 255], [255, 255]], [[0, 1], [2, 0]], NAN),
    ],
)
def test_iou_by_hand(truth, predicted, iou):
    assert image_iou(np.array(predicted), np.array(truth, np.uint8), 3) == pytest.approx(iou, nan_ok=True)


def test_iou_is_that_of_sets_of_pixels():
    random = np.random.default_rng(0)
    truth, predicted = random.choice([0, 1, 2, 4, 255], (9, 13)), random.integers(0, 5, (9, 13))
    pixels = [(y, x) for y in range(9) for x in range(13) if truth[y, x] != 255]
    scores = []
    for label in range(6):
        there, found = ({pixel for pixel in pixels if labels[pixel] == label} for labels in (truth, predicted))
        if there | found:
            scores.append(len(there & found) / len(there | found))
    assert len(scores) == 5 and image_iou(predicted, truth, 6) == pytest.approx(sum(scores) / 5)


@pytest.mark.parametrize(
    'truth, message',
    [
        (np.zeros((2, 3), int), r'labels must have the same size, but have \(2, 2\) and \(2, 3\); in a pipeline'),
        (np.full((2, 2), 3), r'labels must lie in 0\.\.2 or be 255 \(ignored\), but an image holds 0\.\.3'),
    ],
)
def test_labels_that_cannot_be_judged_are_told(truth, message):
    with pytest.raises(ValueError, match=message):
        image_iou(np.zeros((2, 2), int), truth, 3)


@pytest.mark.parametrize(
    'ious, count, best, worst',
    [
        ([0.2, 0.9, 0.5, 0.7], 1, [1], [0]),
        ([0.2, 0.9, 0.5, 0.7], 2, [1, 3], [0, 2]),
        ([0.2, 0.9, 0.5], 2, [1, 2], [0]),
        ([0.2, 0.9, 0.5], 9, [1, 2, 0], []),
        ([NAN, 0.1, NAN, 0.3], 1, [3], [1]),
        ([0.5, 0.5, 0.5, 0.5], 2, [0, 1], [3, 2]),
        ([NAN], 1, [], []),
    ],
)
def test_images_are_sorted_by_iou(ious, count, best, worst):
    assert best_and_worst(ious, count) == (best, worst)


def flat(*colors):
    """Examples of one color an image, and one class a label map."""
    return Examples(
        [
            Example(
                f'{i}.png',
                place,
                iou,
                np.full((8, 16, 3), color, np.uint8),
                {name: np.full((8, 16), label) for name, label in labels.items()},
            )
            for i, (place, iou, color, labels) in enumerate(colors)
        ],
        [0.25, NAN, 0.75, 0.5],
        CLASSES,
        PALETTE,
    )


EXAMPLES = flat(
    ('best 1', 0.75, (250, 130, 5), dict(truth=0, prediction=1, teacher=2)),
    ('worst 1', 0.25, (5, 130, 250), dict(truth=255, prediction=0, teacher=1)),
)


def test_report_tells_the_shown_images_and_the_spread_of_all():
    assert examples_report(EXAMPLES) == (
        '|         | image | IoU, % |\n'
        '| ------- | ----: | -----: |\n'
        '| best 1  | 0.png |   75.0 |\n'
        '| worst 1 | 1.png |   25.0 |\n'
        '\n'
        'IoU of 3 images, %: lowest 25.0, median 50.0, highest 75.0.\n'
    )


def test_picture_has_a_row_an_image_and_a_column_a_map(tmp_path):
    pytest.importorskip('matplotlib')
    draw_examples(EXAMPLES, tmp_path / 'a.png')
    pixels = np.array(Image.open(tmp_path / 'a.png').convert('RGB')).astype(int)
    assert [path.name for path in tmp_path.iterdir()] == ['a.png']
    # 120 pixels an inch: columns of 1.6 + 0.05; below a title of 0.22, rows of 0.22 + 0.8.
    columns = [int(120 * (0.05 + 0.8 + 1.65 * i)) for i in range(4)]
    rows = [int(120 * (0.22 + 0.22 + 0.4 + 1.02 * i)) for i in range(2)]
    assert pixels.shape[1] == 798 and pixels[np.ix_(rows, columns)].tolist() == [
        [[250, 130, 5], PALETTE[0], PALETTE[1], PALETTE[2]],
        [[5, 130, 250], [255] * 3, PALETTE[0], PALETTE[1]],
    ]
    legend = pixels[int(120 * (0.22 + 2 * 1.02)) :]
    assert all((legend == color).all(-1).sum() > 20 for color in PALETTE)


def test_matplotlib_is_optional(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'matplotlib', None)
    with pytest.raises(ImportError, match='pictures need matplotlib: pip install'):
        draw_examples(EXAMPLES, tmp_path / 'a.png')
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Five validation images, one of them void throughout; a student and a teacher with weights."""
    from mmengine.registry import init_default_scope

    init_default_scope('mmseg')
    folder = tmp_path_factory.mktemp('examples')
    write_camvid_tree(folder / 'data', images=5)
    void = sorted((folder / 'data' / 'ann_dir' / 'val').iterdir())[2]
    Image.fromarray(np.full((72, 96), 255, np.uint8)).save(void)
    for name, channels in (('student', 4), ('teacher', 8)):
        toy_runner(toy_segmentor(channels, num_classes=11), folder / name, max_iters=1).train()
    return folder


def config(folder, distilled=True, **teacher):
    model = toy_segmentor(4, num_classes=11)
    if distilled:
        teacher = dict(model=toy_segmentor(8, num_classes=11), **teacher)
        model = dict(type='Distiller', student=model, teacher=teacher, terms=dict())
    load = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackSegInputs')]
    dataset = dict(
        type='CamVidDataset',
        data_root=str(folder / 'data'),
        pipeline=load,
        data_prefix=dict(img_path='img_dir/val', seg_map_path='ann_dir/val'),
    )
    return Config(dict(model=model, val_dataloader=dict(batch_size=1, dataset=dataset)))


STUDENT, TEACHER = 'student/iter_1.pth', 'teacher/iter_1.pth'


def test_images_are_judged_as_validation_judges_them(folder):
    """The IoU of a data set of one image is the mIoU that MMSegmentation gives it."""
    from mmengine.evaluator import Evaluator

    found = find_examples(config(folder, checkpoint=str(folder / TEACHER)), str(folder / STUDENT), 2)
    assert math.isnan(found.ious[2]) and len(found.ious) == 5 and found.no_teacher is None
    assert [example.place for example in found.shown] == ['best 1', 'best 2', 'worst 1', 'worst 2']
    shown = [example.iou for example in found.shown]
    assert shown == [*sorted(shown)[:1:-1], *sorted(shown)[:2]]
    for example in found.shown:
        judge = Evaluator(dict(type='IoUMetric', iou_metrics=['mIoU'], prefix=None))
        judge.dataset_meta = dict(classes=found.classes)
        truth, predicted = (torch.from_numpy(example.labels[name])[None] for name in ('truth', 'prediction'))
        judge.process([dict(pred_sem_seg=dict(data=predicted), gt_sem_seg=dict(data=truth))])
        assert 100 * example.iou == pytest.approx(judge.evaluate(1)['mIoU'], abs=0.01)
        picture = np.array(Image.open(folder / 'data' / 'img_dir' / 'val' / example.name)).astype(int)
        assert np.abs(example.image - picture).max() <= 8  # two decoders of JPEG
        truth = np.array(Image.open(folder / 'data' / 'ann_dir' / 'val' / example.name.replace('.jpg', '.png')))
        np.testing.assert_array_equal(example.labels['truth'], truth)
    assert found.classes[0] == 'Sky' and found.palette[0] == [128, 128, 128]


def test_each_network_predicts_with_its_own_weights(folder):
    """What stands in a column is what a plain segmentor with those weights predicts."""
    distilled = find_examples(config(folder, checkpoint=str(folder / TEACHER)), str(folder / STUDENT), 9)
    alone = find_examples(config(folder, distilled=False), str(folder / STUDENT), 9)
    assert list(distilled.shown[0].labels) == ['truth', 'prediction', 'teacher']
    assert list(alone.shown[0].labels) == ['truth', 'prediction']
    assert distilled.ious == pytest.approx(alone.ious, nan_ok=True)
    plain = config(folder, distilled=False)
    plain.model = toy_segmentor(8, num_classes=11)
    teacher = {example.name: example for example in find_examples(plain, str(folder / TEACHER), 9).shown}
    assert len(teacher) == 4
    for example in distilled.shown:
        np.testing.assert_array_equal(example.labels['teacher'], teacher[example.name].labels['prediction'])
        assert not np.array_equal(example.labels['teacher'], example.labels['prediction'])


def test_a_student_is_shown_where_its_teacher_is_gone(folder):
    found = find_examples(config(folder, checkpoint='gone.pth'), str(folder / STUDENT), 1)
    assert list(found.shown[0].labels) == ['truth', 'prediction']
    assert found.no_teacher == 'model.teacher.checkpoint: no such checkpoint: gone.pth'


def test_progress_is_reported(folder):
    calls = []
    find_examples(config(folder, distilled=False), str(folder / STUDENT), 1, lambda *done: calls.append(done))
    assert calls == [(i, 5) for i in range(1, 6)]


def test_bad_input_is_told(folder):
    with pytest.raises(ValueError, match='count must be >= 1, but is 0'):
        find_examples(config(folder), str(folder / STUDENT), 0)
    with pytest.raises(CheckpointError, match='^no such checkpoint: gone.pth$'):
        find_examples(config(folder), 'gone.pth', 1)
    unlabeled = config(folder, distilled=False)
    del unlabeled.val_dataloader.dataset.pipeline[1]
    with pytest.raises(ValueError, match='must load the labels'):
        find_examples(unlabeled, str(folder / STUDENT), 1)
    only_void = config(folder, distilled=False)
    only_void.val_dataloader.dataset.indices = [2]
    with pytest.raises(ValueError, match='of 1 images all are'):
        find_examples(only_void, str(folder / STUDENT), 1)
