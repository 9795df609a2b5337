"""Tiny data sets in the folder layouts of the real ones, for tests and for trying configs without a download.

Every writer fills ``root`` with generated scenes and returns it. A scene has colored rectangles of random classes (one
color per class, with noise, so that a network can learn them), and some ignored pixels. The same arguments give the
same files.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import mmcv
import numpy as np

from ..constants import IGNORE_INDEX
from ..datasets import CocoPanopticSemDataset


def write_cityscapes_tree(root: str | Path, images: int = 2, size: Sequence[int] = (64, 128), seed: int = 0) -> Path:
    """Write ``leftImg8bit/{train,val}/toytown`` and ``gtFine/{train,val}/toytown`` (19 train ids, 255 ignored).

    Args:
        root: Folder that becomes ``data_root``.
        images: Number of images in each split.
        size: Height and width of the images in pixels.
        seed: Seed of the scenes.
    """
    for split, index, image, labels in _splits(images, size, 19, seed):
        name = f'{split}/toytown/toytown_{index:06d}_000019'
        _write(root, f'leftImg8bit/{name}_leftImg8bit.png', image)
        _write(root, f'gtFine/{name}_gtFine_labelTrainIds.png', labels)
    return Path(root)


def write_ade20k_tree(root: str | Path, images: int = 2, size: Sequence[int] = (64, 80), seed: int = 0) -> Path:
    """Write ``images/{training,validation}`` and ``annotations/{training,validation}`` (0 ignored, 1..150 the classes).

    The arguments are those of :func:`write_cityscapes_tree`.
    """
    folders = dict(train=('training', 'ADE_train'), val=('validation', 'ADE_val'))
    for split, index, image, labels in _splits(images, size, 150, seed):
        folder, stem = folders[split]
        _write(root, f'images/{folder}/{stem}_{index:08d}.jpg', image)
        _write(root, f'annotations/{folder}/{stem}_{index:08d}.png', np.where(labels == IGNORE_INDEX, 0, labels + 1))
    return Path(root)


def write_voc12aug_tree(root: str | Path, images: int = 2, size: Sequence[int] = (64, 80), seed: int = 0) -> Path:
    """Write ``JPEGImages``, ``SegmentationClass``, ``SegmentationClassAug``, ``ImageSets/Segmentation`` (21 classes).

    As in the real tree, ``aug.txt`` lists images that ``train.txt`` and ``val.txt`` do not, with labels in
    ``SegmentationClassAug`` alone. The arguments are those of :func:`write_cityscapes_tree`.
    """
    folders = dict(train='SegmentationClass', aug='SegmentationClassAug', val='SegmentationClass')
    names: dict[str, list] = {split: [] for split in folders}
    for split, index, image, labels in _splits(images, size, 21, seed, tuple(folders)):
        names[split].append(f'{2007 + len(split)}_{index:06d}')
        _write(root, f'JPEGImages/{names[split][-1]}.jpg', image)
        _write(root, f'{folders[split]}/{names[split][-1]}.png', labels)
    lists = Path(root, 'ImageSets', 'Segmentation')
    lists.mkdir(parents=True, exist_ok=True)
    for split, stems in names.items():
        (lists / f'{split}.txt').write_text('\n'.join(stems) + '\n')
    return Path(root)


def write_camvid_tree(root: str | Path, images: int = 2, size: Sequence[int] = (72, 96), seed: int = 0) -> Path:
    """Write ``img_dir/{train,val}`` and ``ann_dir/{train,val}`` (11 classes, 255 ignored), and in ``9_labels`` and
    ``46_labels`` the names of one labeled image and of the others.

    The arguments are those of :func:`write_cityscapes_tree`.
    """
    for split, index, image, labels in _splits(images, size, 11, seed):
        _write(root, f'img_dir/{split}/0001TP_{index:06d}.jpg', image)
        _write(root, f'ann_dir/{split}/0001TP_{index:06d}.png', labels)
    names = sorted(path.stem for path in Path(root, 'img_dir', 'train').glob('*.jpg'))
    for lists in (Path(root, '9_labels'), Path(root, '46_labels')):
        lists.mkdir(exist_ok=True)
        for name, stems in dict(labeled=names[:1], unlabeled=names[1:]).items():
            (lists / f'{name}.txt').write_text('\n'.join(stems) + '\n')
    return Path(root)


def write_coco_panoptic_tree(root: str | Path, images: int = 2, size: Sequence[int] = (64, 80), seed: int = 0) -> Path:
    """Write ``{train,val}2017``, and ``annotations/panoptic_{train,val}2017`` with the JSON beside it (133 classes).

    As in the real files, a class may have several segments in one image, and the ids use all three bytes of a pixel.
    The arguments are those of :func:`write_cityscapes_tree`.
    """
    names = CocoPanopticSemDataset.METAINFO['classes']
    # Like the real ids, these ascend with gaps.
    categories = [
        dict(id=1 + index + index // 10, name=name, isthing=int(index < 80)) for index, name in enumerate(names)
    ]
    random = np.random.default_rng(seed)
    content: dict[str, dict] = {}
    for split, index, image, labels in _splits(images, size, len(names), seed):
        split, stem = f'{split}2017', f'{index:012d}'
        halves = np.arange(labels.shape[1]) >= labels.shape[1] // 2
        regions = [
            (label, (labels == label) & half)
            for label in np.unique(labels)
            for half in (halves, ~halves)
            if label != IGNORE_INDEX and ((labels == label) & half).any()
        ]
        ids = 1 + random.choice(2**24 - 1, len(regions), replace=False)
        segments = np.zeros(labels.shape, np.int64)
        for segment, (_, region) in zip(ids, regions):
            segments[region] = segment
        _write(root, f'{split}/{stem}.jpg', image)
        pixels = np.stack([segments >> 16, segments >> 8, segments], axis=-1) & 255
        _write(root, f'annotations/panoptic_{split}/{stem}.png', pixels)
        listed = content.setdefault(split, dict(images=[], annotations=[], categories=categories))
        listed['images'].append(dict(id=index, file_name=f'{stem}.jpg'))
        listed['annotations'].append(
            dict(
                image_id=index,
                file_name=f'{stem}.png',
                segments_info=[
                    dict(id=int(segment), category_id=categories[label]['id'], iscrowd=0)
                    for segment, (label, _) in zip(ids, regions)
                ],
            )
        )
    for split, listed in content.items():
        Path(root, 'annotations', f'panoptic_{split}.json').write_text(json.dumps(listed))
    return Path(root)


TREES: dict[str, Callable[..., Path]] = {
    'CityscapesDataset': write_cityscapes_tree,
    'ADE20KDataset': write_ade20k_tree,
    'PascalVOCDataset': write_voc12aug_tree,
    'CamVidDataset': write_camvid_tree,
    'CocoPanopticSemDataset': write_coco_panoptic_tree,
}
"""The writer of each registered data set's tree, by the name of the data set."""


def _splits(
    images: int, size: Sequence[int], num_classes: int, seed: int, splits: tuple[str, ...] = ('train', 'val')
) -> Iterator[tuple[str, int, np.ndarray, np.ndarray]]:
    random = np.random.default_rng(seed)
    colors = np.random.default_rng(num_classes).integers(0, 256, (num_classes, 3))  # the same for every seed
    for index, split in enumerate(split for split in splits for _ in range(images)):
        yield split, index, *_scene(random, size, colors)


def _scene(random: np.random.Generator, size: Sequence[int], colors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    height, width = size
    labels = np.full((height, width), random.integers(len(colors)))
    for _ in range(8):
        top, left = random.integers(height), random.integers(width)
        labels[top : top + height // 2, left : left + width // 2] = random.integers(len(colors))
    image = np.clip(colors[labels] + random.normal(0, 12, (height, width, 3)), 0, 255)
    labels[: height // 16 + 1, : width // 2] = IGNORE_INDEX
    return image.astype(np.uint8), labels


def _write(root: str | Path, name: str, pixels: np.ndarray) -> None:
    mmcv.imwrite(pixels.astype(np.uint8), str(Path(root, name)))
