import numpy as np
import pytest
from mmseg.registry import TRANSFORMS

from mmseg_kd.datasets import RandomAffine


@pytest.fixture(autouse=True)
def seed():
    np.random.seed(0)


def scene(height=9, width=9):
    random = np.random.default_rng(0)
    return dict(
        img=random.integers(1, 255, (height, width, 3), dtype=np.uint8),
        gt_seg_map=random.integers(0, 5, (height, width), dtype=np.uint8),
        seg_fields=['gt_seg_map'],
    )


def move(item, **arguments):
    return TRANSFORMS.build(dict(type='RandomAffine', **arguments))(dict(item))


def test_nothing_to_do_changes_nothing():
    item = scene(7, 10)
    moved = move(item)
    np.testing.assert_array_equal(moved['img'], item['img'])
    np.testing.assert_array_equal(moved['gt_seg_map'], item['gt_seg_map'])


@pytest.mark.parametrize('degrees,quarters', [(90, -1), (-90, 1), (180, 2)])
def test_positive_degrees_turn_clockwise_around_the_middle(degrees, quarters):
    item = scene()
    moved = move(item, degrees=(degrees, degrees))
    np.testing.assert_array_equal(moved['img'], np.rot90(item['img'], quarters))
    np.testing.assert_array_equal(moved['gt_seg_map'], np.rot90(item['gt_seg_map'], quarters))


def test_a_shift_by_pixels_fills_with_void_and_padding(monkeypatch):
    item = scene(8, 10)
    monkeypatch.setattr(np.random, 'uniform', lambda low, high: high)
    moved = move(item, translate=0.5, pad_val=(1, 2, 3), seg_pad_val=9)
    np.testing.assert_array_equal(moved['img'][4:, 5:], item['img'][:4, :5])
    np.testing.assert_array_equal(moved['gt_seg_map'][4:, 5:], item['gt_seg_map'][:4, :5])
    for outside in (np.s_[:4], np.s_[:, :5]):
        assert (moved['img'][outside] == (1, 2, 3)).all() and (moved['gt_seg_map'][outside] == 9).all()


def test_one_padding_value_serves_all_channels_and_void_is_the_default():
    moved = move(scene(), scale=(0.2, 0.2), pad_val=77)
    assert (moved['img'][0] == 77).all() and (moved['gt_seg_map'][0] == 255).all()


def test_a_scale_enlarges_around_the_middle():
    """Every third pixel of the threefold image is a pixel of the middle of the original."""
    item = scene()
    moved = move(item, scale=(3, 3))
    np.testing.assert_array_equal(moved['img'][1::3, 1::3], item['img'][3:6, 3:6])
    np.testing.assert_array_equal(moved['gt_seg_map'], item['gt_seg_map'][3:6, 3:6].repeat(3, 0).repeat(3, 1))


def test_a_shear_moves_rows_along_x():
    item = scene()
    moved = move(item, shear=(45, 45))
    for row in range(9):
        offset = row - 4
        inside = range(max(offset, 0), min(9 + offset, 9))
        np.testing.assert_array_equal(
            moved['gt_seg_map'][row, inside], item['gt_seg_map'][row, [x - offset for x in inside]]
        )


def test_images_are_interpolated_and_labels_are_not():
    """Half a pixel to the right: the mean of neighbors, and no label that was not there."""
    item = scene(1, 8)
    item['gt_seg_map'] = np.array([[0, 200] * 4], np.uint8)
    transform = RandomAffine()
    transform._draw = lambda: (0.0, 0.5 / 8, 0.0, 1.0, 0.0)
    moved = transform(dict(item))
    mean = (item['img'][0, :-1].astype(float) + item['img'][0, 1:]) / 2
    assert np.abs(moved['img'][0, 1:] - mean).max() <= 0.5
    assert set(np.unique(moved['gt_seg_map'])) <= {0, 200, 255}


def test_turn_shear_scale_and_shift_are_composed_in_this_order():
    """A marked pixel goes where the formula says."""
    item = scene(101, 121)
    item['gt_seg_map'][:] = 0
    item['gt_seg_map'][33:38, 78:83] = 1  # around (80, 35)
    moved = move(item, degrees=(30, 30), shear=(20, 20), scale=(1.5, 1.5))
    x, y = 80 - 60, 35 - 50
    x = x + np.tan(np.deg2rad(20)) * y
    turned = np.exp(1j * np.deg2rad(30)) * complex(x, y) * 1.5
    rows, columns = np.nonzero(moved['gt_seg_map'] == 1)
    assert columns.mean() == pytest.approx(60 + turned.real, abs=0.3)
    assert rows.mean() == pytest.approx(50 + turned.imag, abs=0.3)


def test_everything_is_drawn_from_its_range():
    transform = RandomAffine(degrees=10, translate=0.1, scale=(0.9, 1.1), shear=(0, 5))
    drawn = np.array([transform._draw() for _ in range(2000)])
    least, most = np.array([(-10, 10), (-0.1, 0.1), (-0.1, 0.1), (0.9, 1.1), (0, 5)]).T
    assert (drawn >= least).all() and (drawn <= most).all()
    share = (drawn - least) / (most - least)
    np.testing.assert_allclose([share.min(0), share.mean(0), share.max(0)], [[0] * 5, [0.5] * 5, [1] * 5], atol=0.03)
    assert np.abs(np.corrcoef(drawn.T) - np.eye(5)).max() < 0.1


def test_images_without_labels_are_moved_too():
    item = scene()
    assert move(dict(img=item['img']), degrees=(180, 180))['img'][0, 0].tolist() == item['img'][-1, -1].tolist()


@pytest.mark.parametrize('wrong', [dict(degrees=(5, -5)), dict(scale=(0, 1)), dict(shear=90), dict(translate=-0.1)])
def test_wrong_ranges_are_told(wrong):
    with pytest.raises(ValueError, match='RandomAffine: ranges must be .min, max., scale > 0 and shear within 90'):
        RandomAffine(**wrong)
