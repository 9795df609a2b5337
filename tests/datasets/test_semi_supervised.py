import itertools
import pickle
import random
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmseg.registry import DATASETS

from mmseg_kd.datasets.image_list import listed_images
from mmseg_kd.datasets.semi_supervised import apart, branch_orders, permutation
from mmseg_kd.testing.trees import write_camvid_tree, write_cityscapes_tree, write_voc12aug_tree

LABELED = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomCrop', crop_size=(40, 40)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs'),
]
WEAK = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadBlankAnnotations'),
    dict(type='RandomCrop', crop_size=(32, 48)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs'),
]
STRONG = [*WEAK[:-1], dict(type='PhotoMetricDistortion'), WEAK[-1]]
PASSING_OVER = [dict(type='LoadImageFromFile', ignore_empty=True), *WEAK[1:]]


def camvid(root, pipeline=LABELED):
    return dict(
        type='CamVidDataset',
        data_root=str(root),
        data_prefix=dict(img_path='img_dir/train', seg_map_path='ann_dir/train'),
        pipeline=pipeline,
    )


QUARTER = dict(fraction=0.25, seed=0)


def build(root, pipelines=(WEAK, STRONG), partition=QUARTER, **settings):
    config = dict(labeled=camvid(root), unlabeled_pipelines=list(pipelines), partition=partition)
    return DATASETS.build(dict(type='SemiSupervisedDataset', **{**config, **settings}))


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    """Twelve images: a quarter is three, and nine are left."""
    return write_camvid_tree(tmp_path_factory.mktemp('camvid'), images=12)


def name(item):
    return Path(item['data_samples'].img_path).stem


def equal(first, second):
    """Whether two items are the same in every byte."""
    parts = [[item['labeled'], *item['unlabeled']] for item in (first, second)]
    return len(parts[0]) == len(parts[1]) and all(
        torch.equal(a['inputs'], b['inputs'])
        and name(a) == name(b)
        and torch.equal(a['data_samples'].gt_sem_seg.data, b['data_samples'].gt_sem_seg.data)
        for a, b in zip(*parts)
    )


def listed(folder, *ids):
    path = folder / f'{len(list(folder.iterdir()))}.txt'
    path.write_text('\n'.join(ids))
    return str(path)


@pytest.mark.parametrize('pipelines', [[WEAK], [WEAK, STRONG]])
def test_an_item_has_a_labeled_image_and_one_of_each_branch(root, pipelines):
    data = build(root, pipelines)
    item = data[5]
    assert set(item) == {'labeled', 'unlabeled'} and len(item['unlabeled']) == len(pipelines)
    assert item['labeled']['inputs'].shape == (3, 40, 40)
    labels = item['labeled']['data_samples'].gt_sem_seg.data
    assert labels.shape == (1, 40, 40) and len(labels.unique()) > 2
    for branch in item['unlabeled']:
        assert branch['inputs'].shape == (3, 32, 48) and branch['inputs'].dtype == torch.uint8
        assert not branch['data_samples'].gt_sem_seg.data.any()
        assert 'seg_map_path' not in branch['data_samples'].metainfo
    assert data.metainfo['classes'][0] == 'Sky' and len(data) == 9
    batch = pseudo_collate([data[0], data[1]])
    assert len(batch['labeled']['inputs']) == 2 and len(batch['unlabeled']) == len(pipelines)
    assert [len(branch['data_samples']) for branch in batch['unlabeled']] == [2] * len(pipelines)


def test_uneven_lists_give_every_image_equally_often(root):
    """Three labeled and nine unlabeled images: in eighteen items, each labeled one six times, each other twice."""
    data = build(root)
    items = [data[n] for n in range(18)]
    counts = {
        key: [list(map(name, column)).count(image) for image in set(map(name, column))]
        for key, column in (
            ('labeled', [item['labeled'] for item in items]),
            (0, [item['unlabeled'][0] for item in items]),
            (1, [item['unlabeled'][1] for item in items]),
        )
    }
    assert counts == {'labeled': [6] * 3, 0: [2] * 9, 1: [2] * 9}
    for item in items:
        assert len({name(part) for part in (item['labeled'], *item['unlabeled'])}) == 3
    passes = [[name(data[n]['labeled']) for n in range(start, start + 3)] for start in range(0, 60, 3)]
    assert all(len(set(one)) == 3 for one in passes) and len(set(map(tuple, passes))) == 6


def test_the_longer_list_may_be_the_labeled_one(root):
    data = build(root, partition=dict(fraction=0.9, seed=0))
    assert len(data) == len(data.labeled) == 11 and len(data.unlabeled) == 1
    names = [[name(branch) for branch in data[n]['unlabeled']] for n in range(3)]
    assert len(set(itertools.chain(*names))) == 1  # a single image serves both branches


def test_the_rest_of_the_list_is_unlabeled(root):
    data = build(root)
    assert sorted([*data.labeled, *data.unlabeled]) == list(range(12)) and len(data.labeled) == 3
    assert np.array_equal(data.labeled, build(root).labeled)
    drawn = {tuple(build(root, partition=dict(fraction=0.25, seed=seed)).labeled) for seed in range(4)}
    assert len(drawn) > 1 and tuple(data.labeled) in drawn


@pytest.mark.parametrize('size', range(1, 6))
def test_two_orders_never_meet_and_stay_orders(size):
    for first, second in itertools.product(itertools.permutations(range(size)), repeat=2):
        changed = apart(np.array(first), np.array(second))
        assert sorted(changed) == list(range(size))
        assert size == 1 or not np.any(changed == first)
        meeting = np.sum(np.array(first) == second)
        assert np.sum(changed != second) == (0 if size == 1 else max(meeting, 2 * (meeting > 0)))


def test_orders_differ_between_streams_passes_and_seeds():
    orders = [permutation(seed, stream, epoch, 50) for seed, stream, epoch in itertools.product(range(3), repeat=3)]
    assert len({tuple(order) for order in orders}) == 27
    first, second = branch_orders(0, 0, 50)
    assert np.array_equal(first, permutation(0, 1, 0, 50)) and not np.any(first == second)


def test_an_item_depends_on_seed_and_number_alone(root):
    data, other = build(root), build(root)
    items = [data[n] for n in range(12)]
    random.seed(5)
    np.random.seed(5)
    torch.manual_seed(5)
    for n in (11, 3, 7):
        assert equal(other[n], items[n])
    assert equal(pickle.loads(pickle.dumps(data))[7], items[7])
    other.seed = 1
    assert not any(equal(other[n], items[n]) for n in range(12))


def test_the_same_image_is_augmented_anew_in_every_pass(root):
    data = build(root)
    seen = {}
    for n in range(12):
        seen.setdefault(name(data[n]['labeled']), []).append(data[n]['labeled']['inputs'])
    for views in seen.values():
        assert len(views) == 4
        assert not any(torch.equal(a, b) for a, b in itertools.combinations(views, 2))


def numbers(item):
    return [part['data_samples'].view for part in (item['labeled'], *item['unlabeled'])]


def test_views_are_numbered_and_equal_pipelines_share_them(root):
    """Three labeled images three times, then nine unlabeled ones for each distinct pipeline."""
    same, two = build(root, [WEAK, WEAK]), build(root, [WEAK, STRONG])
    assert len(same.images) == 9 + 9 and len(two.images) == 9 + 9 + 9
    for data in (same, two):
        for n in (0, 8, 9, 40):
            item = data[n]
            (labeled, passed), first, second = numbers(item)
            assert (labeled // 3, passed) == (n // 3 % 3, n // 9) and 9 <= first[0] < 18
            if data is same:
                assert 9 <= second[0] < 18 and (first[1], second[1]) == (2 * (n // 9), 2 * (n // 9) + 1)
            else:
                assert 18 <= second[0] < 27 and first[1] == second[1] == n // 9
            for (image, number), part in zip(numbers(item), (item['labeled'], *item['unlabeled'])):
                again = data.images.view(image, number)
                assert torch.equal(again['inputs'], part['inputs']) and name(again) == name(part)
                assert again['data_samples'].keys() == part['data_samples'].keys()
    listed = [leaf.get_data_info(index)['img_path'] for leaf, index in listed_images(same.images)]
    assert [Path(path).stem for path in listed] == [name(same.images.view(image, 0)) for image in range(18)]
    assert 'pixels' not in same[0]['labeled']['data_samples']


def test_a_number_of_views_makes_them_come_back_in_new_pairs(root):
    data = build(root, [WEAK, WEAK], views=3, view_seed=7)
    other = build(root, [WEAK, WEAK], views=3, view_seed=7)
    other.seed = 1
    seen, pairs, shown = {}, set(), set()
    for n in range(54):  # six passes over the unlabeled images
        item = data[n]
        for key, part in zip(numbers(item), (item['labeled'], *item['unlabeled'])):
            pixels = part['data_samples'].pixels
            assert seen.setdefault(key, pixels) == pixels == zlib.crc32(part['inputs'].numpy())
        pairs.add(tuple(image for image, _ in numbers(item)))
        shown.update(key for key in numbers(item))
    assert shown == {(image, number) for image in range(18) for number in range(3)} and len(pairs) > 40
    for n in range(54):  # the seed of the run changes the pairs, not the views
        item = other[n]
        assert all(
            seen[key] == part['data_samples'].pixels
            for key, part in zip(numbers(item), (item['labeled'], *item['unlabeled']))
        )
    assert any(numbers(data[n]) != numbers(other[n]) for n in range(9))
    with pytest.raises(ValueError, match='train_dataloader.dataset.views must be >= 1, but is 0'):
        build(root, views=0)


def test_branches_do_not_share_augmentations(root):
    """On a single image and equal pipelines, two branches crop and flip on their own."""
    data = build(root, [WEAK, WEAK], partition=dict(fraction=0.9, seed=0))
    pairs = [data[n]['unlabeled'] for n in range(6)]
    assert sum(torch.equal(a['inputs'], b['inputs']) for a, b in pairs) < 2


def test_a_further_branch_leaves_the_others_as_they_were(root):
    alone, both = build(root, [WEAK])[4], build(root, [WEAK, STRONG])[4]
    assert torch.equal(alone['labeled']['inputs'], both['labeled']['inputs'])
    assert torch.equal(alone['unlabeled'][0]['inputs'], both['unlabeled'][0]['inputs'])


@pytest.mark.parametrize('fails', [False, True])
def test_nothing_outside_is_drawn_from(tmp_path, fails):
    data = build(write_camvid_tree(tmp_path, images=4))
    if fails:
        for path in (tmp_path / 'img_dir' / 'train').iterdir():
            path.unlink()
    before = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()
    try:
        data[0]
        assert not fails
    except ValueError:
        assert fails
    assert random.getstate() == before[0] and np.array_equal(np.random.get_state()[1], before[1])
    assert torch.equal(torch.get_rng_state(), before[2])


def test_a_published_partition_and_cityscapes_ids(tmp_path):
    root = write_cityscapes_tree(tmp_path, images=4)
    config = dict(
        type='CityscapesDataset',
        data_root=str(root),
        data_prefix=dict(img_path='leftImg8bit/train', seg_map_path='gtFine/train'),
        pipeline=LABELED,
    )
    data = build(root, labeled=config, partition=listed(tmp_path, 'toytown_000002_000019'))
    assert list(data.labeled) == [2] and list(data.unlabeled) == [0, 1, 3]
    assert name(data[0]['labeled']) == 'toytown_000002_000019_leftImg8bit'
    with pytest.raises(ValueError, match=r'partition cityscapes/1_8: 372 of 372 ids are not .* \(jena_000078_000019, '):
        build(root, labeled=config, partition='cityscapes/1_8')


def test_joined_data_sets_keep_their_own_pipelines_and_labels(tmp_path):
    root = write_voc12aug_tree(tmp_path, images=2)
    parts = [
        dict(
            type='PascalVOCDataset',
            data_root=str(root),
            data_prefix=dict(img_path='JPEGImages', seg_map_path=folder),
            ann_file=f'ImageSets/Segmentation/{split}.txt',
            pipeline=[*LABELED[:2], dict(type='RandomCrop', crop_size=(size, size)), LABELED[-1]],
        )
        for split, folder, size in (('train', 'SegmentationClass', 16), ('aug', 'SegmentationClassAug', 24))
    ]
    ids = [
        line
        for split in ('train', 'aug')
        for line in (root / f'ImageSets/Segmentation/{split}.txt').read_text().split()
    ]
    data = build(root, labeled=dict(type='ConcatDataset', datasets=parts), partition=listed(tmp_path, ids[1], ids[2]))
    assert list(data.labeled) == [1, 2]
    shapes = {name(item['labeled']): item['labeled']['inputs'].shape for item in data}
    assert shapes == {ids[1]: (3, 16, 16), ids[2]: (3, 24, 24)}
    assert {name(branch) for item in data for branch in item['unlabeled']} == {ids[0], ids[3]}


def test_unlabeled_images_may_be_any_folder(tmp_path, root):
    write_camvid_tree(tmp_path, images=5, seed=1)
    data = build(root, partition=None, unlabeled=dict(type='UnlabeledFolderDataset', folder=str(tmp_path / 'img_dir')))
    assert len(data.labeled) == 12 and len(data.unlabeled) == 10
    assert all(
        Path(branch['data_samples'].img_path).is_relative_to(tmp_path)
        for n in range(10)
        for branch in data[n]['unlabeled']
    )
    quarter = build(root, unlabeled=dict(type='UnlabeledFolderDataset', folder=str(tmp_path / 'img_dir')))
    assert len(quarter.labeled) == 3 and len(quarter.unlabeled) == 10


def test_both_parts_may_be_listed(tmp_path, root):
    ids = [f'0001TP_{number:06d}' for number in range(12)]
    labeled, unlabeled = listed(tmp_path, *ids[:2]), listed(tmp_path, *ids[5:9])
    data = build(root, partition=dict(labeled=labeled, unlabeled=unlabeled))
    assert list(data.labeled) == [0, 1] and list(data.unlabeled) == [5, 6, 7, 8]
    with pytest.raises(ValueError, match='1 images are both labeled and unlabeled, such as .*/0001TP_000001.jpg; '):
        build(root, partition=dict(labeled=labeled, unlabeled=listed(tmp_path, *ids[1:3])))


def test_overlap_with_another_data_set_is_told(root):
    with pytest.raises(ValueError, match='3 images are both labeled and unlabeled, such as .*, .*, .*; remove them'):
        build(root, unlabeled=dict(type='UnlabeledFolderDataset', folder=str(root / 'img_dir' / 'train')))


@pytest.mark.parametrize(
    'settings,message',
    [
        (dict(partition=None), 'no unlabeled images are left: all 12 of labeled are labeled; set a smaller partition'),
        (dict(partition='nowhere.txt'), 'there is no nowhere.txt'),
        (dict(partition=dict(fraction=2)), 'fraction must lie between 0 and 1, but is 2'),
        (dict(pipelines=WEAK), 'unlabeled_pipelines must be a list of one or two pipelines'),
        (dict(pipelines=[WEAK] * 3), 'unlabeled_pipelines must be a list of one or two pipelines'),
        (
            dict(pipelines=[WEAK, LABELED]),
            r'unlabeled_pipelines\[1\] must have LoadBlankAnnotations .*, instead of LoadAnnotations',
        ),
        (dict(pipelines=[[WEAK[0], *WEAK[2:]]]), r'unlabeled_pipelines\[0\] must have LoadBlankAnnotations after'),
        (dict(unlabeled=dict(type='UnlabeledFolderDataset', folder='nowhere')), 'there is no nowhere'),
    ],
)
def test_bad_settings_are_told(root, settings, message):
    with pytest.raises(ValueError, match=message):
        build(root, **settings)


DAMAGE = dict(
    missing=lambda path: path.unlink(),
    empty=lambda path: path.write_bytes(b''),
    garbage=lambda path: path.write_text('no image'),
)


@pytest.mark.parametrize('kind', DAMAGE)
@pytest.mark.parametrize('part', ['labeled', r'unlabeled_pipelines\[0\]'])
def test_an_image_that_cannot_be_read_is_named(tmp_path, kind, part):
    data = build(write_camvid_tree(tmp_path, images=8), [WEAK])
    index = (data.labeled if part == 'labeled' else data.unlabeled)[1]
    path = tmp_path / f'img_dir/train/0001TP_{index:06d}.jpg'
    DAMAGE[kind](path)
    with pytest.raises(ValueError) as caught:
        list(data)
    text = str(caught.value)
    assert f"{path} can't be read (" in text and '\n' not in text and text.startswith(part.replace('\\', ''))
    assert ('ignore_empty=True' in text) == (part != 'labeled')


@pytest.mark.parametrize('kind', DAMAGE)
def test_an_unlabeled_image_that_cannot_be_read_is_passed_over_if_told_to(tmp_path, kind):
    data = build(write_camvid_tree(tmp_path, images=8), [PASSING_OVER, PASSING_OVER])
    whole = [data[n] for n in range(12)]
    bad = f'0001TP_{data.unlabeled[2]:06d}'
    DAMAGE[kind](tmp_path / f'img_dir/train/{bad}.jpg')
    items = [data[n] for n in range(12)]
    assert all(equal(a, b) for a, b in zip(items, map(data.__getitem__, range(12))))
    for item, before in zip(items, whole):
        names = [name(branch) for branch in item['unlabeled']]
        assert len(set(names)) == 2 and bad not in names
        # Only the branch that would have drawn it draws another, unless the other one had that.
        if bad not in map(name, before['unlabeled']):
            assert equal(item, before)
        if bad != name(before['unlabeled'][0]):
            assert torch.equal(item['unlabeled'][0]['inputs'], before['unlabeled'][0]['inputs'])
        assert torch.equal(item['labeled']['inputs'], before['labeled']['inputs'])


def test_passing_over_is_reported_once(tmp_path, monkeypatch):
    data = build(write_camvid_tree(tmp_path, images=8), [PASSING_OVER])
    path = tmp_path / f'img_dir/train/0001TP_{data.unlabeled[0]:06d}.jpg'
    path.unlink()
    said = []
    monkeypatch.setattr('mmseg_kd.datasets.semi_supervised.print_log', lambda text, **_: said.append(text))
    for n in range(24):
        data[n]
    assert said == [f'unlabeled image {path} was skipped: it cannot be read']


def test_if_nothing_can_be_read_that_is_told(tmp_path):
    data = build(write_camvid_tree(tmp_path, images=8), [PASSING_OVER])
    for index in data.unlabeled:
        (tmp_path / f'img_dir/train/0001TP_{index:06d}.jpg').unlink()
    with pytest.raises(ValueError, match='none of the 6 unlabeled images can be read'):
        data[0]


def test_a_labeled_image_is_never_exchanged_for_another(tmp_path):
    """MMEngine would take any image of the list for one that a transform drops, also one that counts as unlabeled."""
    write_camvid_tree(tmp_path, images=8)
    data = build(tmp_path, labeled=camvid(tmp_path, [PASSING_OVER[0], *LABELED[1:]]))
    path = tmp_path / f'img_dir/train/0001TP_{data.labeled[0]:06d}.jpg'
    path.unlink()
    with pytest.raises(ValueError, match=f'labeled: {path} was dropped by a transform'):
        list(data)


def test_errors_of_later_transforms_are_their_own(root):
    with pytest.raises(cv2.error):
        build(root, [[*WEAK[:2], dict(type='Resize', scale=(0, 0), keep_ratio=False), WEAK[-1]]])[0]
