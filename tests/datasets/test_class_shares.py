import numpy as np
import pytest
from PIL import Image

from mmseg_kd.datasets.class_shares import balanced_part, count_classes, share_table, write_partition
from mmseg_kd.datasets.image_list import ImageList
from mmseg_kd.datasets.partitions import labeled_part
from mmseg_kd.testing.trees import write_camvid_tree

LOADED = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')]


def camvid(root, pipeline=LOADED, **settings):
    return ImageList(
        dict(
            type='CamVidDataset',
            data_root=str(root),
            data_prefix=dict(img_path='img_dir/train', seg_map_path='ann_dir/train'),
            pipeline=pipeline,
            **settings,
        ),
        'train_dataloader.dataset',
    )


def skewed(seed=0, images=400):
    """Three common classes and three that few images hold, one of them only together with another."""
    random = np.random.default_rng(seed)
    counts = random.integers(0, 1000, (images, 7)).astype(np.int64)
    for column, share in ((3, 0.05), (4, 0.02)):
        counts[random.random(images) > share, column] = 0
    counts[:, 5] = counts[:, 4] // 3
    counts[:, 6] = 0
    return counts


def test_pixels_are_counted_image_by_image(tmp_path):
    root = write_camvid_tree(tmp_path, images=3)
    done = []
    counts = count_classes(camvid(root, [*LOADED, dict(type='RandomCrop', crop_size=(8, 8))]), done.append)
    assert counts.shape == (3, 11) and done == [1, 2, 3]
    for number, path in zip(counts, sorted((root / 'ann_dir' / 'train').iterdir())):
        labels = np.array(Image.open(path))
        assert list(number) == [(labels == index).sum() for index in range(11)]


def test_labels_beyond_the_classes_are_told(tmp_path):
    root = write_camvid_tree(tmp_path, images=1)
    path = root / 'ann_dir/train/0001TP_000000.png'
    Image.fromarray(np.full((72, 96), 12, np.uint8)).save(path)
    with pytest.raises(ValueError, match=rf'must lie in 0\.\.10 or be 255 \(ignored\), but {path} holds 12; check'):
        count_classes(camvid(root))


def test_the_label_that_the_data_set_ignores_is_not_counted(tmp_path):
    root = write_camvid_tree(tmp_path, images=1)
    path = root / 'ann_dir/train/0001TP_000000.png'
    labels = np.full((72, 96), 3, np.uint8)
    labels[0], labels[1] = 100, 255
    Image.fromarray(labels).save(path)
    assert count_classes(camvid(root, ignore_index=100)).tolist() == [[0, 0, 0, 70 * 96, 0, 0, 0, 0, 0, 0, 0]]


def test_what_cannot_be_counted_is_told(tmp_path):
    root = write_camvid_tree(tmp_path, images=1)
    with pytest.raises(ValueError, match="add dict\\(type='LoadAnnotations'\\) to train_dataloader.dataset.pipeline"):
        count_classes(camvid(root, LOADED[:1]))
    folder = ImageList(dict(type='UnlabeledFolderDataset', folder=str(root / 'img_dir')), 'train_dataloader.dataset')
    with pytest.raises(ValueError, match='train_dataloader.dataset must name its classes'):
        count_classes(folder)


def test_a_balanced_part_holds_more_of_its_rarest_class_than_random_ones():
    counts = skewed()
    present = counts.sum(0) > 0

    def least(part):
        return (counts[part].sum(0)[present] / counts.sum(0)[present]).min()

    random = [np.random.default_rng(seed).permutation(len(counts))[:50] for seed in range(50)]
    for seed in range(5):
        part = balanced_part(counts, 1 / 8, seed)
        assert len(set(part)) == 50 and (np.diff(part) > 0).all()
        assert least(part) > 1 / 8
        assert least(part) > max(map(least, random))


def test_each_image_is_the_best_of_those_looked_at():
    """With no more images than are looked at, the choice is the greedy one, whatever the seed."""
    counts = np.array([[100, 0, 0], [90, 10, 0], [0, 5, 1], [100, 0, 0]])
    # Shares: (.345, 0, 0), (.310, .667, 0), (0, .333, 1), (.345, 0, 0). First the third: .577 + 1 = 1.577 against
    # .557 + .816 = 1.373; then the second: .557 + 1 - .577 = .980 against .587.
    for seed in range(5):
        assert list(balanced_part(counts, 0.25, seed)) == [2]
        assert list(balanced_part(counts, 0.5, seed)) == [1, 2]


def test_greater_balanced_parts_contain_smaller_ones_and_seeds_differ():
    counts = skewed(images=100)
    small, large = (balanced_part(counts, fraction, 3) for fraction in (0.1, 0.3))
    assert set(small) < set(large) and (len(small), len(large)) == (10, 30)
    assert np.array_equal(large, balanced_part(counts, 0.3, 3))
    assert not np.array_equal(large, balanced_part(counts, 0.3, 4))


def test_the_table_has_shares_of_pixels_and_images():
    counts = np.array([[30, 0, 0], [10, 10, 0], [40, 0, 0], [0, 10, 0]])
    assert share_table(counts, np.array([1, 3]), ('road', 'car', 'tram')) == [
        ('class', 'pixels %, all', 'labeled', 'images %, all', 'labeled', 'of class, %'),
        ('road', '80.00', '33.33', '75.00', '50.00', '12.50'),
        ('car', '20.00', '66.67', '50.00', '100.00', '100.00'),
        ('tram', '0.00', '0.00', '0.00', '0.00', '0.00'),
    ]


def test_written_lists_give_the_same_part_again(tmp_path):
    images = camvid(write_camvid_tree(tmp_path, images=5))
    labeled, unlabeled = write_partition(tmp_path / 'deep' / 'lists', images, np.array([1, 4]))
    assert labeled.read_text() == '0001TP_000001\n0001TP_000004\n'
    assert unlabeled.read_text() == '0001TP_000000\n0001TP_000002\n0001TP_000003\n'
    assert list(labeled_part(images, str(labeled))) == [1, 4]
    assert sorted(path.name for path in labeled.parent.iterdir()) == ['labeled.txt', 'unlabeled.txt']
