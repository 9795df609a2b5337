import numpy as np
import pytest
import torch
from PIL import Image

from mmseg_kd.engine.loops.mckd_labels import TEACHER_LABELS, MCKDLabels


class Certain:
    """Predicts the same classes for each image."""

    classes, palette = ['road', 'car'], [[0, 0, 0], [255, 0, 0]]

    def __init__(self, labels):
        self.labels = torch.tensor(labels)

    def __call__(self, path):
        return torch.nn.functional.one_hot(self.labels, 2).permute(2, 0, 1).float() * 0.8 + 0.1


@pytest.fixture
def folder(tmp_path):
    """Two images of 2x2 pixels with true labels, of which the label 9 is ignored."""
    for room, pixels in (('images', np.zeros((2, 2, 3), np.uint8)), ('truth', np.array([[0, 0], [1, 9]], np.uint8))):
        (tmp_path / room).mkdir()
        for name in 'ab':
            Image.fromarray(pixels).save(tmp_path / room / f'{name}.png')
    return tmp_path


def labels_of(folder, truth=True, **settings):
    data = dict(
        type='BaseSegDataset',
        data_prefix=dict(img_path=str(folder / 'images'), seg_map_path=str(folder / 'truth')),
        img_suffix='.png',
        ignore_index=9,
        metainfo=dict(classes=Certain.classes),
        pipeline=[dict(type='LoadAnnotations')],
    )
    settings = dict(dict(threshold=0.0, top_k=0), **settings)
    return MCKDLabels(folder / 'run', str(folder / 'images'), truth=data if truth else None, **settings)


def test_the_teachers_labels_are_compared_with_the_true_ones(folder):
    labels = labels_of(folder)
    facts = labels.write(TEACHER_LABELS, Certain([[0, 1], [1, 1]]), ['a.png', 'b.png'], {}, lambda *done: None)
    # Without the ignored pixel: 1 of 2 of the road, 1 of 2 of the car.
    assert facts['miou'] == 50 and facts['accuracy'] == pytest.approx(200 / 3) and 'miou_to_teacher' not in facts
    assert facts['images'] == 2 and facts['void'] == 0 and facts['confidence'] == pytest.approx(0.9, abs=1e-4)
    assert labels.names() == ['a', 'b']


def test_a_students_labels_are_compared_with_the_teachers(folder):
    labels = labels_of(folder, truth=False)
    labels.write(TEACHER_LABELS, Certain([[0, 0], [1, 1]]), ['a.png'], {}, lambda *done: None)
    facts = labels.write('labels/one', Certain([[0, 1], [1, 1]]), ['a.png'], {}, lambda *done: None)
    assert facts['miou_to_teacher'] == pytest.approx(100 * (1 / 2 + 2 / 3) / 2) and 'miou' not in facts
    assert labels.path('labels/one') == folder / 'run' / 'labels' / 'one'


def test_uncertain_pixels_are_ignored(folder):
    facts = labels_of(folder, truth=False, threshold=0.95).write(
        TEACHER_LABELS, Certain([[0, 0], [1, 1]]), ['a.png'], {}, lambda *done: None
    )
    assert facts['void'] == 1


def test_an_image_without_true_labels_is_named(folder):
    Image.new('RGB', (2, 2)).save(folder / 'c.png')
    labels = labels_of(folder)
    labels.images = str(folder)
    with pytest.raises(ValueError, match='train_cfg.truth must have all images of .* but lacks .*c.png'):
        list(labels.true_labels(dict(c='c.png')))
