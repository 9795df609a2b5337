import json
from pathlib import Path

import mmcv
import numpy as np
import pytest
from mmseg.registry import DATASETS

from mmseg_kd.testing.trees import write_coco_panoptic_tree

PIPELINE = [dict(type='LoadImageFromFile'), dict(type='LoadPanopticSemAnnotations')]
CLASSES = DATASETS.get('CocoPanopticSemDataset').METAINFO['classes']


def build(root, split='val', **settings):
    settings = dict(
        ann_file=f'annotations/panoptic_{split}2017.json',
        data_prefix=dict(img_path=f'{split}2017', seg_map_path=f'annotations/panoptic_{split}2017'),
        pipeline=PIPELINE,
        **settings,
    )
    return DATASETS.build(dict(type='CocoPanopticSemDataset', data_root=str(root), **settings))


@pytest.fixture
def four_segments(tmp_path):
    """One image of 2x3 pixels: two persons, of which one is a crowd, a toothbrush, a rug, and a void pixel."""
    ids = np.array([[1, 256, 65536], [16777215, 16777215, 0]])
    pixels = np.stack([ids // 65536, ids // 256 % 256, ids % 256], axis=-1).astype(np.uint8)  # blue, green, red
    mmcv.imwrite(pixels, str(tmp_path / 'annotations/panoptic_val2017/000000000007.png'))
    mmcv.imwrite(np.zeros((2, 3, 3), np.uint8), str(tmp_path / 'val2017/000000000007.jpg'))
    segments = [(1, 1, 0), (256, 1, 1), (65536, 90, 0), (16777215, 200, 0)]
    write_json(
        tmp_path,
        categories=[dict(id=1, name='person'), dict(id=90, name='toothbrush'), dict(id=200, name='rug-merged')],
        images=[dict(id=7, file_name='000000000007.jpg')],
        annotations=[
            dict(
                image_id=7,
                file_name='000000000007.png',
                segments_info=[dict(id=i, category_id=c, iscrowd=crowd) for i, c, crowd in segments],
            )
        ],
    )
    return tmp_path


def write_json(root, **content):
    (root / 'annotations').mkdir(exist_ok=True)
    (root / 'annotations/panoptic_val2017.json').write_text(json.dumps(content))


def test_a_pixel_has_the_class_of_the_segment_that_its_three_bytes_name(four_segments):
    item = build(four_segments)[0]
    np.testing.assert_array_equal(item['gt_seg_map'], [[0, 0, 79], [132, 132, 255]])
    assert item['gt_seg_map'].dtype == np.uint8 and item['seg_fields'] == ['gt_seg_map']
    assert Path(item['img_path']).name == '000000000007.jpg'


def test_classes_that_are_left_out_are_void(four_segments):
    item = build(four_segments, metainfo=dict(classes=('rug-merged', 'person')))[0]
    np.testing.assert_array_equal(item['gt_seg_map'], [[1, 1, 255], [0, 0, 255]])


def test_has_80_things_and_53_kinds_of_stuff_in_the_order_of_coco():
    palette = DATASETS.get('CocoPanopticSemDataset').METAINFO['palette']
    assert len(CLASSES) == len(palette) == len({tuple(color) for color in palette}) == len(set(CLASSES)) == 133
    assert [CLASSES[i] for i in (0, 11, 79, 80, 100, 116, 132)] == [
        'person',
        'stop sign',
        'toothbrush',
        'banner',
        'road',
        'tree-merged',
        'rug-merged',
    ]
    assert [palette[i] for i in (0, 79, 80, 132)] == [[220, 20, 60], [191, 162, 208], [255, 255, 128], [250, 141, 255]]


def test_a_generated_tree_has_several_segments_of_a_class_and_ids_of_three_bytes(tmp_path):
    root = write_coco_panoptic_tree(tmp_path, images=3, size=(32, 40))
    data = build(root, 'train')
    stems = [Path(data.get_data_info(i)['img_path']).stem for i in range(len(data))]
    assert (
        stems == [f'{i:012d}' for i in range(3)] == [Path(data.get_data_info(i)['seg_map_path']).stem for i in range(3)]
    )
    segments = data.get_data_info(0)['segments']
    assert len(segments) > len({label for _, label in segments}) > 1  # several segments of one class
    assert max(i for i, _ in segments) > 65535


def test_files_that_do_not_belong_together_are_refused(four_segments):
    path = four_segments / 'annotations/panoptic_val2017.json'
    content = json.loads(path.read_text())
    content['annotations'][0]['segments_info'].append(dict(id=5, category_id=1))
    path.write_text(json.dumps(content))
    with pytest.raises(
        ValueError, match='000000000007.png must hold the segments .* no pixel of segment 5; check that'
    ):
        build(four_segments)[0]


def test_wrong_files_of_annotations_are_refused_in_one_line(tmp_path):
    with pytest.raises(ValueError, match='ann_file must be the JSON of a split, such as .* there is no file'):
        build(tmp_path)
    write_json(tmp_path, images=[], categories=[], annotations=[dict(image_id=1, bbox=[0, 0, 1, 1])])
    with pytest.raises(ValueError, match='ann_file must list segments_info, .* not the instances_'):
        build(tmp_path)
    write_json(tmp_path, images=[], categories=[dict(id=1, name='unicorn')], annotations=[])
    with pytest.raises(ValueError, match='must be among the 133 of COCO, but 1 are not: unicorn'):
        build(tmp_path)
