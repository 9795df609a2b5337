import os.path as osp

import mmengine.fileio as fileio
from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS

from ..io.listed_paths import check_listed_names

THINGS = (
    'person',
    'bicycle',
    'car',
    'motorcycle',
    'airplane',
    'bus',
    'train',
    'truck',
    'boat',
    'traffic light',
    'fire hydrant',
    'stop sign',
    'parking meter',
    'bench',
    'bird',
    'cat',
    'dog',
    'horse',
    'sheep',
    'cow',
    'elephant',
    'bear',
    'zebra',
    'giraffe',
    'backpack',
    'umbrella',
    'handbag',
    'tie',
    'suitcase',
    'frisbee',
    'skis',
    'snowboard',
    'sports ball',
    'kite',
    'baseball bat',
    'baseball glove',
    'skateboard',
    'surfboard',
    'tennis racket',
    'bottle',
    'wine glass',
    'cup',
    'fork',
    'knife',
    'spoon',
    'bowl',
    'banana',
    'apple',
    'sandwich',
    'orange',
    'broccoli',
    'carrot',
    'hot dog',
    'pizza',
    'donut',
    'cake',
    'chair',
    'couch',
    'potted plant',
    'bed',
    'dining table',
    'toilet',
    'tv',
    'laptop',
    'mouse',
    'remote',
    'keyboard',
    'cell phone',
    'microwave',
    'oven',
    'toaster',
    'sink',
    'refrigerator',
    'book',
    'clock',
    'vase',
    'scissors',
    'teddy bear',
    'hair drier',
    'toothbrush',
)
STUFF = (
    'banner',
    'blanket',
    'bridge',
    'cardboard',
    'counter',
    'curtain',
    'door-stuff',
    'floor-wood',
    'flower',
    'fruit',
    'gravel',
    'house',
    'light',
    'mirror-stuff',
    'net',
    'pillow',
    'platform',
    'playingfield',
    'railroad',
    'river',
    'road',
    'roof',
    'sand',
    'sea',
    'shelf',
    'snow',
    'stairs',
    'tent',
    'towel',
    'wall-brick',
    'wall-stone',
    'wall-tile',
    'wall-wood',
    'water-other',
    'window-blind',
    'window-other',
    'tree-merged',
    'fence-merged',
    'ceiling-merged',
    'sky-other-merged',
    'cabinet-merged',
    'table-merged',
    'floor-other-merged',
    'pavement-merged',
    'mountain-merged',
    'grass-merged',
    'dirt-merged',
    'paper-merged',
    'food-other-merged',
    'building-other-merged',
    'rock-merged',
    'wall-other-merged',
    'rug-merged',
)


@DATASETS.register_module()
class CocoPanopticSemDataset(BaseSegDataset):
    """COCO 2017 for semantic segmentation, with the 133 classes of its panoptic labels.

    The 80 thing classes come first, then the 53 stuff classes, each in the order of COCO's category ids. Names and
    colors are those of the panoptic API. ``ann_file`` is the JSON of one split
    (``annotations/panoptic_val2017.json``), ``data_prefix.img_path`` the folder of its images (``val2017``), and
    ``data_prefix.seg_map_path`` the folder of its PNG files (``annotations/panoptic_val2017``). The pipeline reads them
    with :class:`~mmseg_kd.datasets.LoadPanopticSemAnnotations`. For test2017, which has no labels, use
    :class:`~mmseg_kd.datasets.UnlabeledFolderDataset`. The arguments are those of
    :class:`mmseg.datasets.BaseSegDataset`.

    Raises:
        ValueError: If ``ann_file`` is missing or no panoptic JSON, or if it has a category outside the 133 classes.

    Paper: Kirillov et al., "Panoptic Segmentation" (CVPR 2019, arXiv 1801.00868); images and stuff: Lin et al. (arXiv
    1405.0312), Caesar et al. (arXiv 1612.03716).

    Example:
        >>> classes = CocoPanopticSemDataset.METAINFO['classes']
        >>> len(classes), classes[0], classes[80]
        (133, 'person', 'banner')
    """

    METAINFO = dict(
        classes=THINGS + STUFF,
        palette=[
            [220, 20, 60],
            [119, 11, 32],
            [0, 0, 142],
            [0, 0, 230],
            [106, 0, 228],
            [0, 60, 100],
            [0, 80, 100],
            [0, 0, 70],
            [0, 0, 192],
            [250, 170, 30],
            [100, 170, 30],
            [220, 220, 0],
            [175, 116, 175],
            [250, 0, 30],
            [165, 42, 42],
            [255, 77, 255],
            [0, 226, 252],
            [182, 182, 255],
            [0, 82, 0],
            [120, 166, 157],
            [110, 76, 0],
            [174, 57, 255],
            [199, 100, 0],
            [72, 0, 118],
            [255, 179, 240],
            [0, 125, 92],
            [209, 0, 151],
            [188, 208, 182],
            [0, 220, 176],
            [255, 99, 164],
            [92, 0, 73],
            [133, 129, 255],
            [78, 180, 255],
            [0, 228, 0],
            [174, 255, 243],
            [45, 89, 255],
            [134, 134, 103],
            [145, 148, 174],
            [255, 208, 186],
            [197, 226, 255],
            [171, 134, 1],
            [109, 63, 54],
            [207, 138, 255],
            [151, 0, 95],
            [9, 80, 61],
            [84, 105, 51],
            [74, 65, 105],
            [166, 196, 102],
            [208, 195, 210],
            [255, 109, 65],
            [0, 143, 149],
            [179, 0, 194],
            [209, 99, 106],
            [5, 121, 0],
            [227, 255, 205],
            [147, 186, 208],
            [153, 69, 1],
            [3, 95, 161],
            [163, 255, 0],
            [119, 0, 170],
            [0, 182, 199],
            [0, 165, 120],
            [183, 130, 88],
            [95, 32, 0],
            [130, 114, 135],
            [110, 129, 133],
            [166, 74, 118],
            [219, 142, 185],
            [79, 210, 114],
            [178, 90, 62],
            [65, 70, 15],
            [127, 167, 115],
            [59, 105, 106],
            [142, 108, 45],
            [196, 172, 0],
            [95, 54, 80],
            [128, 76, 255],
            [201, 57, 1],
            [246, 0, 122],
            [191, 162, 208],
            [255, 255, 128],
            [147, 211, 203],
            [150, 100, 100],
            [168, 171, 172],
            [146, 112, 198],
            [210, 170, 100],
            [92, 136, 89],
            [218, 88, 184],
            [241, 129, 0],
            [217, 17, 255],
            [124, 74, 181],
            [70, 70, 70],
            [255, 228, 255],
            [154, 208, 0],
            [193, 0, 92],
            [76, 91, 113],
            [255, 180, 195],
            [106, 154, 176],
            [230, 150, 140],
            [60, 143, 255],
            [128, 64, 128],
            [92, 82, 55],
            [254, 212, 124],
            [73, 77, 174],
            [255, 160, 98],
            [255, 255, 255],
            [104, 84, 109],
            [169, 164, 131],
            [225, 199, 255],
            [137, 54, 74],
            [135, 158, 223],
            [7, 246, 231],
            [107, 255, 200],
            [58, 41, 149],
            [183, 121, 142],
            [255, 73, 97],
            [107, 142, 35],
            [190, 153, 153],
            [146, 139, 141],
            [70, 130, 180],
            [134, 199, 156],
            [209, 226, 140],
            [96, 36, 108],
            [96, 96, 96],
            [64, 170, 64],
            [152, 251, 152],
            [208, 229, 228],
            [206, 186, 171],
            [152, 161, 64],
            [116, 112, 0],
            [0, 114, 143],
            [102, 102, 156],
            [250, 141, 255],
        ],
    )

    def load_data_list(self) -> list[dict]:
        content = self._read()
        images = {image['id']: image['file_name'] for image in content['images']}
        labels = self._labels(content['categories'])
        check_listed_names(
            [*images.values(), *(record['file_name'] for record in content['annotations'])], self.ann_file
        )
        return [
            dict(
                img_path=osp.join(self.data_prefix['img_path'], images[record['image_id']]),
                seg_map_path=osp.join(self.data_prefix['seg_map_path'], record['file_name']),
                segments=[(part['id'], labels[part['category_id']]) for part in record['segments_info']],
                label_map=self.label_map,
                reduce_zero_label=self.reduce_zero_label,
                seg_fields=[],
            )
            for record in sorted(content['annotations'], key=lambda record: record['image_id'])
        ]

    def _read(self) -> dict:
        if self.backend_args is None and not osp.isfile(self.ann_file):
            raise ValueError(
                'CocoPanopticSemDataset: ann_file must be the JSON of a split, such as '
                f'annotations/panoptic_val2017.json, but there is no file "{self.ann_file}"'
            )
        content = fileio.load(self.ann_file, backend_args=self.backend_args)
        if not all('segments_info' in record for record in content.get('annotations', [{}])):
            raise ValueError(
                f'CocoPanopticSemDataset: ann_file must list segments_info, but {self.ann_file} does not; '
                'use the panoptic_*.json of COCO, not the instances_*.json'
            )
        return content

    def _labels(self, categories: list[dict]) -> dict[int, int]:
        """The class of each category id; 255 for classes that are left out."""
        classes = {name: index for index, name in enumerate(self.METAINFO['classes'])}
        unknown = [category['name'] for category in categories if category['name'] not in classes]
        if unknown:
            raise ValueError(
                f'CocoPanopticSemDataset: categories of {self.ann_file} must be among the 133 of COCO, but '
                f'{len(unknown)} are not: {", ".join(unknown[:3])}'
            )
        kept = self.label_map or {}
        indices = {category['id']: classes[category['name']] for category in categories}
        return {category: kept.get(index, index) for category, index in indices.items()}
