import json

import numpy as np
import pytest
from PIL import Image

from mmseg_kd.labeling.writer import FORMAT
from mmseg_kd.visualization.label_picture import draw_labels, spread_images

pytest.importorskip('matplotlib')
PALETTE = [[10, 20, 30], [200, 0, 100], [0, 90, 255]]
BLUE, RED = (0, 0, 255), (255, 0, 0)


@pytest.fixture
def root(tmp_path):
    """Two images of one color; a teacher that calls all class 0, and two students that label one image each."""
    for name, color in (('x', BLUE), ('town/y', RED)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new('RGB', (8, 4), color).save(tmp_path / f'{name}.png')
    for folder, labels in (('teacher', {'x': 0, 'town/y': 0}), ('a', {'x': 1}), ('b', {'town/y': 255})):
        images = {}
        for name, value in labels.items():
            (tmp_path / folder / name).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((4, 8), value, np.uint8)).save(tmp_path / folder / f'{name}.png')
            images[name] = dict(image=f'{name}.png')
        (tmp_path / folder / 'labels.json').write_text(
            json.dumps(dict(format=FORMAT, classes=['sky', 'road', 'car'], palette=PALETTE, images=images))
        )
    return tmp_path


def paths(root, images):
    return {name: str(root / file) for name, file in images.items()}


def read(path):
    return np.asarray(Image.open(path))


def middles(path, columns):
    pixels = np.array(Image.open(path).convert('RGB'))
    # 120 pixels an inch: columns of 1.6 + 0.05; below a title of 0.22, rows of 0.22 + 0.8.
    return pixels[
        np.ix_(
            [int(120 * (0.22 + 0.22 + 0.4 + 1.02 * i)) for i in range(2)],
            [int(120 * (0.05 + 0.8 + 1.65 * i)) for i in range(columns)],
        )
    ].tolist()


def test_each_column_takes_an_image_from_whoever_labeled_it(root):
    images = spread_images(root / 'teacher', 5)
    assert images == {'town/y': 'town/y.png', 'x': 'x.png'}
    columns = {'teacher': [root / 'teacher'], 'stage 1': [root / 'a', root / 'b']}
    draw_labels(columns, paths(root, images), read, {}, root / 'out.png')
    assert middles(root / 'out.png', 3) == [[list(RED), PALETTE[0], [255] * 3], [list(BLUE), PALETTE[0], PALETTE[1]]]


def test_truth_stands_beside_the_image(root):
    truth = {'x': np.full((4, 8), 2), 'town/y': np.full((4, 8), 0)}
    images = paths(root, spread_images(root / 'teacher', 2))
    draw_labels({'teacher': [root / 'teacher']}, images, read, truth, root / 'out.png')
    assert middles(root / 'out.png', 3) == [[list(RED), PALETTE[0], PALETTE[0]], [list(BLUE), PALETTE[2], PALETTE[0]]]


def test_images_are_spread_evenly(tmp_path):
    images = {f'{i:02}': dict(image=f'{i:02}.png') for i in reversed(range(10))}
    (tmp_path / 'labels.json').write_text(json.dumps(dict(format=FORMAT, classes=['sky'], palette=None, images=images)))
    assert list(spread_images(tmp_path, 4)) == ['00', '03', '06', '09']
    assert list(spread_images(tmp_path, 1)) == ['00']
