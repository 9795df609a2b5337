import json
import pickle
import time

import numpy as np
import pytest

from mmseg_kd.io import image_confusion
from mmseg_kd.io.image_confusion import (
    ImageConfusion,
    mean_iou,
    read_image_confusion,
    relative_names,
    write_image_confusion,
)


def random_confusion(images=5, classes=4, cells=6, seed=0):
    rng = np.random.default_rng(seed)
    image = np.arange(images).repeat(cells)
    cell = np.concatenate([rng.choice(classes**2, cells, replace=False) for _ in range(images)])
    names = [f'city/{i}.png' for i in range(images)]
    return ImageConfusion(names, list('abcdefgh'[:classes]), 700, image, cell, rng.integers(1, 10**6, len(cell)))


def test_a_file_holds_what_was_written(tmp_path):
    before = random_confusion()
    write_image_confusion(tmp_path / 'a.npz', before)
    after = read_image_confusion(tmp_path / 'a.npz')
    assert (after.images, after.classes, after.iteration) == (before.images, before.classes, 700)
    for index in range(5):
        np.testing.assert_array_equal(after.matrix(index), before.matrix(index))
    assert [path.name for path in tmp_path.iterdir()] == ['a.npz']


def test_areas_are_those_of_the_matrices():
    found = random_confusion()
    for index in range(5):
        matrix = found.matrix(index)
        np.testing.assert_array_equal(found.intersections[index], matrix.diagonal())
        np.testing.assert_array_equal(found.unions[index], matrix.sum(0) + matrix.sum(1) - matrix.diagonal())
    # By hand: class a 2 of 2 + 1 + 1, b 4 of 4 + 1 + 1, c is absent.
    one = ImageConfusion(['x'], ['a', 'b', 'c'], 1, [0, 0, 0, 0], [0, 1, 3, 4], [2, 1, 1, 4])
    assert one.miou == pytest.approx(100 * (2 / 4 + 4 / 6) / 2)


def test_no_pixels_have_no_iou():
    assert np.isnan(mean_iou(np.zeros(3), np.zeros(3)))


def test_names_do_not_depend_on_the_folder_of_the_data():
    assert relative_names(['/a/val/1.png', '/a/val/b/2.png']) == ['1.png', 'b/2.png']
    assert relative_names(['D:\\data\\val_1.png', 'D:\\data\\val_2.png']) == ['val_1.png', 'val_2.png']
    assert relative_names(['/a/1.png']) == ['1.png'] and relative_names(['']) == ['']


def test_many_images_with_many_classes_stay_small(tmp_path):
    """As on ADE20K: 2,000 images, 150 classes, and 60 kinds of right and wrong pixels in each image."""
    large = random_confusion(2000, 8, 60)
    large.classes, large.cell = [f'class {i}' for i in range(150)], large.cell * 351
    begin = time.perf_counter()
    write_image_confusion(tmp_path / 'a.npz', large)
    assert read_image_confusion(tmp_path / 'a.npz').miou == large.miou
    assert (tmp_path / 'a.npz').stat().st_size < 2**20 and time.perf_counter() - begin < 5


def npz(path, **changes):
    about = dict(images=['a'], classes=['x', 'y'], iteration=1)
    arrays = dict(image=np.zeros(1, np.uint32), cell=np.zeros(1, np.uint32), pixels=np.ones(1, np.uint32))
    arrays.update({key: value for key, value in changes.items() if key in arrays})
    about.update({key: value for key, value in changes.items() if key in about})
    np.savez(path, about=np.frombuffer(json.dumps(about).encode(), np.uint8), **arrays)


class Poison:
    def __reduce__(self):
        return (print, ('executed',))


@pytest.mark.parametrize(
    'changes,reason',
    [
        (dict(image=np.ones(1, np.uint32)), 'image must lie in 0..0, but reaches 1'),
        (dict(cell=np.full(1, 4, np.uint32)), 'cell must lie in 0..3, but reaches 4'),
        (dict(pixels=np.ones(2, np.uint32)), 'with one length'),
        (dict(pixels=np.ones(1)), 'lists of uint32'),
        (dict(images=[1]), 'lists of names'),
        (dict(pixels=np.array([Poison()])), 'allow_pickle=False'),
    ],
)
def test_other_contents_are_refused(tmp_path, capsys, changes, reason):
    npz(tmp_path / 'a.npz', **changes)
    with pytest.raises(ValueError, match='a.npz must hold the confusion matrices') as caught:
        read_image_confusion(tmp_path / 'a.npz')
    assert reason in str(caught.value) and 'executed' not in capsys.readouterr().out


def test_broken_and_foreign_files_are_refused(tmp_path, monkeypatch):
    whole, path = tmp_path / 'whole.npz', tmp_path / 'a.npz'
    write_image_confusion(whole, random_confusion())
    content = whole.read_bytes()
    for broken in (
        b'',
        content[: len(content) // 2],
        pickle.dumps(Poison()),
        content.replace(b'{"im', b'\xff\xff\xff\xff'),
    ):
        path.write_bytes(broken)
        if broken != content:
            with pytest.raises(ValueError, match='remove it, or validate again'):
                read_image_confusion(path)
    monkeypatch.setattr(image_confusion, 'LARGEST', 100)
    with pytest.raises(ValueError, match='unpacks to .* bytes, more than 100'):
        read_image_confusion(whole)
    with pytest.raises(FileNotFoundError):
        read_image_confusion(tmp_path / 'missing.npz')
