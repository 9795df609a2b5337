from pathlib import Path

import mmcv
import numpy as np
import pytest
from mmseg.registry import DATASETS

REAL = Path(__file__).resolve().parents[3] / 'shared/camvid'
PIPELINE = [dict(type='LoadImageFromFile'), dict(type='mmseg.LoadAnnotations')]


def build(root, split='train'):
    prefix = dict(img_path=f'img_dir/{split}', seg_map_path=f'ann_dir/{split}')
    return DATASETS.build(dict(type='CamVidDataset', data_root=str(root), data_prefix=prefix, pipeline=PIPELINE))


def test_pairs_images_with_labels_and_keeps_class_indices(tmp_path):
    labels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    labels[2, 3] = 255
    for name in ('b', 'a'):
        mmcv.imwrite(np.zeros((3, 4, 3), np.uint8), str(tmp_path / f'img_dir/train/{name}.jpg'))
        mmcv.imwrite(labels, str(tmp_path / f'ann_dir/train/{name}.png'))
    (tmp_path / 'img_dir/train/notes.txt').write_text('no image')
    data = build(tmp_path)
    assert [Path(data.get_data_info(i)['img_path']).name for i in range(len(data))] == ['a.jpg', 'b.jpg']
    np.testing.assert_array_equal(data[0]['gt_seg_map'], labels)


def test_has_eleven_classes_of_distinct_colors():
    meta = DATASETS.get('CamVidDataset').METAINFO
    assert meta['classes'] == (
        'Sky',
        'Building',
        'Pole',
        'Road',
        'Pavement',
        'Tree',
        'SignSymbol',
        'Fence',
        'Car',
        'Pedestrian',
        'Bicyclist',
    )
    assert len({tuple(color) for color in meta['palette']}) == 11
    assert meta['palette'][:2] == [[128, 128, 128], [128, 0, 0]]


@pytest.mark.skipif(not REAL.is_dir(), reason='CamVid is not beside the project')
@pytest.mark.parametrize('split,number', [('train', 367), ('val', 101)])
def test_reads_the_published_split(split, number):
    data = build(REAL, split)
    assert len(data) == number
    counts = np.zeros(256, int)
    for i in range(0, number, 20):
        item = data[i]
        assert item['img'].shape == (360, 480, 3) and item['gt_seg_map'].shape == (360, 480)
        counts += np.bincount(item['gt_seg_map'].ravel(), minlength=256)
    assert (counts[:11] > 0).all() and counts[11:255].sum() == 0
    assert counts[:11].argmax() in (1, 3)  # buildings and road cover most of a street scene
