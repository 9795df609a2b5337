import hashlib

import numpy as np
import pytest

from mmseg_kd.datasets.image_list import ImageList, overlap
from mmseg_kd.datasets.partitions import PARTITIONS, labeled_part, part_name, part_size, published_ids, read_ids
from mmseg_kd.testing.trees import write_camvid_tree, write_voc12aug_tree

COUNTS = dict(cityscapes=(186, 372, 744, 1488), voc12aug=(662, 1323, 2646, 5291), voc12_few=(92, 183, 366, 732))
TOTALS = dict(cityscapes=2975, voc12aug=10582)
# Of the ids in their published order, joined by newlines.
SHA256 = {
    'cityscapes/1_16': 'de235b9fae9cafc10f6cc0309274b384d0892db748cf53257156fbe4eaf591d8',
    'cityscapes/1_8': 'd28bf27e274b48d9bf24fed09b5fedea8b7b717bdd3f658447f2bcebf7febba0',
    'cityscapes/1_4': 'e8ad4829253c19fb089ef24e78c8e2c4a40ee9364f9cc6e968b3843eb1feb5fd',
    'cityscapes/1_2': '5f5db5b45b41e891efd887a297acfe46a321c1b27fc7df4ab3574bad0cc86ff0',
    'voc12aug/1_16': 'baa85754594fcd33c7f06d9ef173db9f70a0c32f826a2958668ee406db9f7c5a',
    'voc12aug/1_8': 'c9ca45b4e688d408cd0856e9d17bdf99a8c9bd1de09d33023e578cdb9a49f1a3',
    'voc12aug/1_4': 'fd0e8dca3dac524cf3b8c2b8540bc67bac1fb5df93e562faf35232e90c444295',
    'voc12aug/1_2': '5338f277730143e02973ac654d6f0fb43e6758bd22769161397c42f08c818e0b',
    'voc12_few/1_16': '7feeb5314d99485739e79c385d3b70145d44dc60190acb4d5df63165c630ef6a',
    'voc12_few/1_8': '5dac0b72efebf63344c90c3700537e6d667c80bfa4c17205d96d459e655ec976',
    'voc12_few/1_4': '97abd8fe7d52346b2663e6faed73e89560a171788ea0a12c012bff26c74a25d4',
    'voc12_few/1_2': 'ba2d2c50ff29e4b858dd028eb56aa5edc5505d69348709b47f03a167b2e6b1bb',
}


def camvid(root, **settings):
    return dict(
        type='CamVidDataset',
        data_root=str(root),
        data_prefix=dict(img_path='img_dir/train', seg_map_path='ann_dir/train'),
        **settings,
    )


@pytest.fixture
def images(tmp_path):
    return ImageList(camvid(write_camvid_tree(tmp_path, images=10)), 'labeled')


def listed(tmp_path, *ids):
    path = tmp_path / 'list.txt'
    path.write_text('\n'.join(ids))
    return str(path)


@pytest.mark.parametrize('name', PARTITIONS)
def test_published_lists_hold_the_published_ids(name):
    protocol, part = name.split('/')
    ids = published_ids(name)
    assert len(ids) == len(set(ids)) == COUNTS[protocol][('1_16', '1_8', '1_4', '1_2').index(part)]
    assert hashlib.sha256('\n'.join(ids).encode()).hexdigest() == SHA256[name]
    assert read_ids(name) == ids
    if protocol in TOTALS:
        assert len(ids) == part_size(TOTALS[protocol], 1 / int(part[2:]))


@pytest.mark.parametrize('protocol', TOTALS)
def test_the_published_parts_are_every_second_image_of_the_next_larger(protocol):
    """As it must be where the part 1/r is every r-th line of one list, from the first."""
    lists = [published_ids(f'{protocol}/1_{part}') for part in (16, 8, 4, 2)]
    for smaller, larger in zip(lists, lists[1:]):
        assert smaller == larger[::2]
    assert (lists[3] == sorted(lists[3])) == (protocol == 'voc12aug')


def test_the_few_label_lists_are_separate_draws():
    lists = [set(published_ids(f'voc12_few/1_{part}')) for part in (16, 8, 4, 2)]
    assert [len(smaller & larger) for smaller, larger in zip(lists, lists[1:])] == [9, 42, 190]


def test_unpublished_names_are_refused():
    with pytest.raises(ValueError, match='one of cityscapes/1_16, .*, but is cityscapes/1_3'):
        published_ids('cityscapes/1_3')
    with pytest.raises(ValueError, match='a list file, or one of cityscapes/1_16, .*, but there is no city/1_8'):
        read_ids('city/1_8')


def test_a_published_partition_is_found_among_joined_data_sets(tmp_path):
    """The fine set and the additional one of VOC 2012, in lists as long as the real ones, without an image."""
    root = write_voc12aug_tree(tmp_path, images=1)
    ids = published_ids('voc12aug/1_2')
    others = [f'2012_{number:06d}' for number in range(10582 - len(ids) + 1) if f'2012_{number:06d}' not in set(ids)]
    everything = [*ids, *others[: 10582 - len(ids)]]
    lists = root / 'ImageSets' / 'Segmentation'
    (lists / 'train.txt').write_text('\n'.join(everything[::7]))
    (lists / 'aug.txt').write_text('\n'.join(name for i, name in enumerate(everything) if i % 7))
    parts = [
        dict(
            type='PascalVOCDataset',
            data_root=str(root),
            data_prefix=dict(img_path='JPEGImages', seg_map_path=folder),
            ann_file=f'ImageSets/Segmentation/{split}.txt',
        )
        for split, folder in (('train', 'SegmentationClass'), ('aug', 'SegmentationClassAug'))
    ]
    images = ImageList(dict(type='ConcatDataset', datasets=parts), 'labeled')
    assert len(images) == len(everything) == 10582
    names = np.array(images.ids())
    found = labeled_part(images, 'voc12aug/1_8')
    assert set(names[found]) == set(published_ids('voc12aug/1_8')) and len(found) == 1323
    assert (np.diff(found) > 0).all()
    assert not set(np.delete(names, found)) & set(published_ids('voc12aug/1_8'))
    # Beyond the first data set, numbers start anew.
    last = images.info(len(images) - 1)
    assert last['img_path'].endswith(f'{names[-1]}.jpg') and 'SegmentationClassAug' in last['seg_map_path']


def test_a_list_file_of_windows_is_read(tmp_path, images):
    names = sorted(images.ids())[:2]
    (tmp_path / 'list.txt').write_bytes(b'\xef\xbb\xbf' + '\r\n'.join([*names, '']).encode())
    assert list(labeled_part(images, str(tmp_path / 'list.txt'))) == list(images.find(names, ''))


def test_a_list_file_is_matched_by_name_or_by_folder_and_name(tmp_path, images):
    assert images.ids()[:2] == ['0001TP_000000', '0001TP_000001']
    assert list(labeled_part(images, listed(tmp_path, '0001TP_000004', '', ' 0001TP_000002 '))) == [2, 4]
    assert list(labeled_part(images, dict(labeled=listed(tmp_path, '0001TP_000003')))) == [3]


def test_the_same_name_in_two_folders_needs_the_folder(tmp_path):
    root = write_camvid_tree(tmp_path, images=2)
    for folder in ('a', 'b'):
        write_camvid_tree(tmp_path / folder, images=1)
        (root / 'img_dir' / 'train' / folder).mkdir()
        (tmp_path / folder / 'img_dir' / 'train' / '0001TP_000000.jpg').rename(
            root / 'img_dir' / 'train' / folder / 'x.jpg'
        )
    images = ImageList(camvid(root), 'labeled')
    assert images.ids() == ['0001TP_000000', '0001TP_000001', 'a/x', 'b/x']
    assert list(labeled_part(images, listed(tmp_path, 'b/x', '0001TP_000001'))) == [1, 3]
    with pytest.raises(ValueError, match=r'1 of 1 ids match more than one image of labeled \(x\); write'):
        labeled_part(images, listed(tmp_path, 'x'))


def test_ids_that_do_not_exist_are_named_and_counted(tmp_path, images):
    with pytest.raises(ValueError) as caught:
        labeled_part(images, listed(tmp_path, '0001TP_000001', 'a', 'b', 'c', 'd'))
    text = str(caught.value)
    assert '4 of 5 ids are not among the 10 images of labeled (a, b, c, ...)' in text and '\n' not in text
    assert 'its ids look like 0001TP_000000' in text
    with pytest.raises(ValueError, match='186 of 186 ids are not among the 10 images'):
        labeled_part(images, 'cityscapes/1_16')


@pytest.mark.parametrize(
    'ids,message',
    [
        ((), 'must hold one id per line, but is empty'),
        (('0001TP_000001',) * 2, r'1 images are listed more than once \(0001TP_0'),
    ],
)
def test_empty_and_repeating_lists_are_refused(tmp_path, images, ids, message):
    with pytest.raises(ValueError, match=message):
        labeled_part(images, listed(tmp_path, *ids))


def test_a_fraction_is_drawn_by_its_seed_and_contains_smaller_ones(images):
    eighth, half = (labeled_part(images, dict(fraction=fraction, seed=3)) for fraction in (1 / 8, 1 / 2))
    assert len(eighth) == 2 and len(half) == 5 and set(eighth) < set(half)
    assert np.array_equal(half, labeled_part(images, dict(fraction=0.5, seed=3)))
    draws = {tuple(labeled_part(images, dict(fraction=0.5, seed=seed))) for seed in range(20)}
    assert len(draws) > 15 and tuple(labeled_part(images, dict(fraction=0.5))) in draws
    assert np.array_equal(half, np.sort(half)) and len(set(half)) == 5


def test_a_draw_does_not_depend_on_the_order_in_which_images_are_listed(tmp_path, images):
    (tmp_path / 'backwards.txt').write_text('\n'.join(images.ids()[::-1]))
    backwards = ImageList(camvid(tmp_path, ann_file='backwards.txt'), 'labeled')
    names = [
        {images.ids()[i] for i in labeled_part(images, dict(fraction=0.3, seed=1))} for images in (images, backwards)
    ]
    assert names[0] == names[1] and len(names[0]) == 3


@pytest.mark.parametrize('fraction', [0, 1, -0.5, 8])
def test_a_fraction_lies_between_zero_and_one(fraction):
    with pytest.raises(ValueError, match=f'fraction must lie between 0 and 1, but is {fraction}'):
        part_size(100, fraction)


def test_part_sizes_are_rounded_up_but_not_by_rounding_errors():
    assert [part_size(2975, 1 / r) for r in (16, 8, 4, 2)] == list(COUNTS['cityscapes'])
    assert part_size(30, 0.1) == 3 and part_size(3, 0.01) == 1 and part_size(1000, 0.007) == 7


@pytest.mark.parametrize('partition', [dict(), dict(unlabeled='a.txt'), dict(fraction=0.5, labeled='a.txt'), 0.125])
def test_other_partitions_are_refused(images, partition):
    with pytest.raises(ValueError, match='partition must be a name, a list file, dict'):
        labeled_part(images, partition)


def test_a_folder_without_images_is_told(tmp_path):
    write_camvid_tree(tmp_path, images=1)
    (tmp_path / 'empty').mkdir()
    config = dict(camvid(tmp_path), data_prefix=dict(img_path='empty', seg_map_path='empty'))
    with pytest.raises(ValueError, match=r'labeled: no image was found; check its data_root \(".*"\)'):
        ImageList(config, 'labeled')


def test_data_sets_that_wrap_another_are_refused(tmp_path):
    config = dict(type='RepeatDataset', times=2, dataset=camvid(write_camvid_tree(tmp_path, images=1)))
    with pytest.raises(ValueError, match='labeled must be a data set that lists images, .* but got RepeatDataset'):
        ImageList(config, 'labeled')


def test_overlap_sees_through_spellings_of_a_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert overlap(['a/x.jpg', 'b.jpg'], [str(tmp_path / 'a' / 'x.jpg'), 'c.jpg']) == [str(tmp_path / 'a' / 'x.jpg')]


@pytest.mark.parametrize(
    'partition, name',
    [
        ('cityscapes/1_16', '1_16'),
        ('lists/mine.txt', 'mine'),
        (dict(labeled='a/b.txt', unlabeled='c.txt'), 'b'),
        (dict(fraction=0.125), '0.125_seed0'),
        (dict(fraction=1 / 3, seed=2), '0.3333_seed2'),
    ],
)
def test_a_partition_has_a_short_name_for_folders(partition, name):
    assert part_name(partition) == name
