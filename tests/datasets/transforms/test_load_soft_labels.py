import numpy as np
import pytest
from mmseg.registry import TRANSFORMS

from mmseg_kd.datasets import LoadSoftLabels


def stored(folder, rows, columns, stride=4, num=2):
    random = np.random.default_rng(0)
    content = dict(
        classes=random.integers(0, 9, (num, rows, columns), dtype=np.uint8),
        shares=random.random((num, rows, columns)).astype(np.float16),
        rest=random.random((rows, columns)).astype(np.float16),
    )
    np.savez_compressed(folder / 'image.npz', stride=np.int64(stride), **content)
    return content


def load(folder, labels):
    results = dict(
        gt_seg_map=labels,
        seg_fields=['gt_seg_map'],
        seg_map_path='image.png',
        soft_label_path=str(folder / 'image.npz'),
    )
    return TRANSFORMS.build(dict(type='LoadSoftLabels'))(results)


@pytest.mark.parametrize('stride', [1, 3, 4])
@pytest.mark.parametrize('size', [(9, 14), (8, 8), (11, 3)])
def test_every_pixel_reads_the_nearest_cell(tmp_path, size, stride):
    centers = [np.arange(stride // 2, side, stride) for side in size]
    rows, columns = map(len, centers)
    content = stored(tmp_path, rows, columns, stride)
    results = load(tmp_path, np.zeros(size, np.uint8))
    assert results['seg_fields'] == ['gt_seg_map', 'soft_cells'] and results['soft_cells'].shape == size
    for y, x in np.ndindex(*size):
        row, column = divmod(int(results['soft_cells'][y, x]), columns)
        assert abs(centers[0][row] - y) == np.abs(centers[0] - y).min()
        assert abs(centers[1][column] - x) == np.abs(centers[1] - x).min()
        cell = results['soft_cells'][y, x]
        assert np.array_equal(results['soft_labels']['classes'][:, cell], content['classes'][:, row, column])
        assert np.array_equal(
            results['soft_labels']['shares'][:, cell],
            [*content['shares'][:, row, column], content['rest'][row, column]],
        )


def test_true_labels_are_certain():
    labels = np.array([[3, 255], [0, 1]], np.uint8)
    results = LoadSoftLabels()(dict(gt_seg_map=labels))
    cells = results['soft_cells'].ravel()
    assert results['soft_labels']['classes'][0, cells].tolist() == [
        3,
        0,
        0,
        1,
    ]  # where nothing is known, nothing counts
    assert results['soft_labels']['shares'][:, cells].tolist() == [[1] * 4, [0] * 4]


def test_what_does_not_fit_is_said(tmp_path):
    stored(tmp_path, 2, 3)
    with pytest.raises(
        ValueError, match='image.npz must hold 2x2 cells for a label map of 8x8, but holds 2x3; it belongs to ano'
    ):
        load(tmp_path, np.zeros((8, 8), np.uint8))
    with pytest.raises(
        ValueError, match='image.png needs soft labels, but was written without them; label the images again'
    ):
        LoadSoftLabels()(dict(gt_seg_map=np.zeros((8, 8), np.uint8), seg_map_path='image.png', soft_label_path=None))
