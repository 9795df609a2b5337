import mmcv
import numpy as np
import pytest
from mmseg.registry import DATASETS

from mmseg_kd.testing.trees import TREES

PIPELINE = [dict(type='LoadImageFromFile'), dict(type='mmseg.LoadAnnotations')]
PANOPTIC = [dict(type='LoadImageFromFile'), dict(type='LoadPanopticSemAnnotations')]
LAYOUTS = {
    'CityscapesDataset': dict(
        train=dict(img_path='leftImg8bit/train', seg_map_path='gtFine/train'),
        val=dict(img_path='leftImg8bit/val', seg_map_path='gtFine/val'),
    ),
    'ADE20KDataset': dict(
        train=dict(img_path='images/training', seg_map_path='annotations/training'),
        val=dict(img_path='images/validation', seg_map_path='annotations/validation'),
    ),
    'PascalVOCDataset': dict(
        train=dict(img_path='JPEGImages', seg_map_path='SegmentationClass'),
        aug=dict(img_path='JPEGImages', seg_map_path='SegmentationClassAug'),
        val=dict(img_path='JPEGImages', seg_map_path='SegmentationClass'),
    ),
    'CamVidDataset': dict(
        train=dict(img_path='img_dir/train', seg_map_path='ann_dir/train'),
        val=dict(img_path='img_dir/val', seg_map_path='ann_dir/val'),
    ),
    'CocoPanopticSemDataset': dict(
        train=dict(img_path='train2017', seg_map_path='annotations/panoptic_train2017'),
        val=dict(img_path='val2017', seg_map_path='annotations/panoptic_val2017'),
    ),
}
LISTS = {
    'PascalVOCDataset': 'ImageSets/Segmentation/{}.txt',
    'CocoPanopticSemDataset': 'annotations/panoptic_{}2017.json',
}
SPLITS = [(name, split) for name, splits in LAYOUTS.items() for split in splits]


def load(name, split, root):
    pipeline = PANOPTIC if name == 'CocoPanopticSemDataset' else PIPELINE
    extra = dict(ann_file=LISTS[name].format(split)) if name in LISTS else {}
    return DATASETS.build(
        dict(type=name, data_root=str(root), data_prefix=LAYOUTS[name][split], pipeline=pipeline, **extra)
    )


@pytest.mark.parametrize('name,split', SPLITS)
def test_registered_data_set_reads_its_tree(tmp_path, name, split):
    data = load(name, split, TREES[name](tmp_path, images=3, size=(48, 56)))
    assert len(data) == 3
    for item in data:
        image, labels = item['img'], item['gt_seg_map']
        assert image.shape == (48, 56, 3) and labels.shape == (48, 56)
        classes = np.unique(labels)
        assert classes[-1] == 255 and 0 < (labels == 255).mean() < 0.2
        assert len(classes) > 3 and classes[-2] < len(data.metainfo['classes'])


@pytest.mark.parametrize('name', TREES)
def test_classes_can_be_told_by_their_color(tmp_path, name):
    first = load(name, 'train', TREES[name](tmp_path, images=2))
    image, labels = first[0]['img'].astype(float), first[0]['gt_seg_map']
    means = {c: image[labels == c].mean(0) for c in np.unique(labels) if c != 255 and (labels == c).sum() > 100}
    assert len(means) > 2
    colors = np.stack(list(means.values()))
    pixels = np.isin(labels, list(means))
    nearest = np.linalg.norm(image[pixels][:, None] - colors, axis=-1).argmin(1)
    assert (np.array(list(means))[nearest] == labels[pixels]).mean() > 0.8


@pytest.mark.parametrize('name', TREES)
def test_trees_depend_on_the_seed_alone(tmp_path, name):
    roots = [TREES[name](tmp_path / str(i), seed=seed) for i, seed in enumerate((1, 1, 2))]
    files = [sorted(f.relative_to(root) for f in root.rglob('*') if f.is_file()) for root in roots]
    assert files[0] == files[1] == files[2]
    contents = [[(root / f).read_bytes() for f in files[0]] for root in roots]
    assert contents[0] == contents[1] != contents[2]


def test_voc_lists_are_disjoint_and_name_existing_images(tmp_path):
    root = TREES['PascalVOCDataset'](tmp_path, images=2)
    lists = {s: (root / f'ImageSets/Segmentation/{s}.txt').read_text().split() for s in ('train', 'aug', 'val')}
    names = sum(lists.values(), [])
    assert len(names) == len(set(names)) == len(list((root / 'JPEGImages').iterdir())) == 6
    assert {f.stem for f in (root / 'SegmentationClassAug').iterdir()} == set(lists['aug'])


def test_ade20k_files_hold_void_as_zero(tmp_path):
    root = TREES['ADE20KDataset'](tmp_path, images=1)
    stored = mmcv.imread(str(next((root / 'annotations/training').iterdir())), flag='unchanged')
    assert stored.min() == 0 and stored.max() <= 150
