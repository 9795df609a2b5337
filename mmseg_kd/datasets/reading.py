"""Single images and label maps, as the pipeline of their data set loads them and as they are stored on disk."""

import io
from collections.abc import Sequence
from typing import Any, NamedTuple

import mmcv
import mmengine.fileio as fileio
import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmengine.dataset import BaseDataset
from mmseg.datasets.transforms import LoadAnnotations
from PIL import Image, ImageOps

from ..distillers.normalization import swaps_channels
from .image_list import listed_images

ORIENTATION = 0x0112  # the EXIF tag; 1 is upright, 5 to 8 swap height and width
UPRIGHT = 1
# Values for 255 in files with more than 8 bits. Each becomes 255 when only the low byte is kept.
ALL_ONES = (255, 2**16 - 1, 2**32 - 1, -1)
NAMED = 3  # values in a message


class Pictures:
    """Images of a data set by path, as viewable RGB pictures of what the pipeline loads.

    Args:
        dataset: Data set that is already built. If it does not list its images, they are read as color images.
        network: Network that reads the images, also within a wrapper (``module``) or a distiller (``student``). Its
            data preprocessor defines the channel order.

    Example:
        >>> from torch import nn
        >>> from mmseg_kd.datasets import CamVidDataset
        >>> from mmseg_kd.testing.trees import write_camvid_tree
        >>> root = write_camvid_tree('camvid', images=1, size=(8, 16))
        >>> prefix = dict(img_path='img_dir/train', seg_map_path='ann_dir/train')
        >>> dataset = CamVidDataset(data_root=str(root), data_prefix=prefix, pipeline=[dict(type='LoadImageFromFile')])
        >>> Pictures(dataset, nn.Identity())(dataset.get_data_info(0)['img_path']).shape
        (8, 16, 3)
    """

    def __init__(self, dataset: BaseDataset, network: Any) -> None:
        self._images = {
            leaf.get_data_info(index).get('img_path'): (leaf, index) for leaf, index in listed_images(dataset)
        }
        while hasattr(network, 'module') or hasattr(network, 'student'):
            network = getattr(network, 'module', None) or network.student
        self._swaps_channels = swaps_channels(getattr(network, 'data_preprocessor', None))

    def __call__(self, path: str) -> np.ndarray:
        """The image at a path as an RGB picture (H, W, 3), uint8; see :func:`read_picture`."""
        if path not in self._images:
            return mmcv.imread(path, channel_order='rgb')
        leaf, index = self._images[path]
        return read_picture(leaf.pipeline.transforms, leaf.get_data_info(index), self._swaps_channels)


class LabelMap(NamedTuple):
    """A label map after the pipeline's loading transforms, before any transform that moves pixels.

    Args:
        labels: Classes (H, W).
        path: Path of the label file.
        stored: Distinct numbers in the file, or in ``labels`` if a custom transform reads the file.
        doubt: Sentence about a possible mistake that the numbers alone do not show; empty if there is none.
    """

    labels: np.ndarray
    path: str
    stored: list[int]
    doubt: str


def read_image(transforms: Sequence, info: dict) -> tuple[np.ndarray, object]:
    """An image as the pipeline loads it, and the transform that loaded it.

    Args:
        transforms: Transforms of the pipeline.
        info: Entry of the image in the data set, with ``img_path``.

    Returns:
        tuple: the image (H, W) or (H, W, C) before resizing, with any type and channel order; and the transform.

    Raises:
        ValueError: If the image cannot be read, or no transform loads it; the message names the image.

    Example:
        >>> image, transform = read_image([lambda info: dict(info, img=np.zeros((4, 6, 3)))], dict(img_path='1.npy'))
        >>> image.shape
        (4, 6, 3)
    """
    results: dict | None = info
    path = info.get('img_path', 'the image')
    for transform in transforms:
        results = _apply(transform, results, path)
        if results is None:
            break
        if results.get('img') is not None:
            return np.asarray(results['img']), transform
    raise ValueError(f"{path} is loaded by no transform; add dict(type='LoadImageFromFile') to the pipeline")


def read_picture(transforms: Sequence, info: dict, swaps_channels: bool) -> np.ndarray:
    """An image as the pipeline loads it, converted to a viewable RGB picture (H, W, 3), uint8.

    Args:
        transforms: Transforms of the pipeline.
        info: Entry of the image in the data set, with ``img_path``.
        swaps_channels: Whether the network's preprocessor swaps the first and third channel to get RGB. It is the only
            hint at the channel order if a custom transform loads the image.

    Raises:
        ValueError: If the image cannot be read, or no transform loads it; the message names the image.

    Example:
        >>> blue = np.full((1, 1, 3), (255, 0, 0), np.uint8)
        >>> read_picture([lambda info: dict(info, img=blue)], dict(img_path='1.npy'), swaps_channels=True).tolist()
        [[[0, 0, 255]]]
    """
    image, transform = read_image(transforms, info)
    if isinstance(transform, LoadImageFromFile):
        swaps_channels = transform.imdecode_backend != 'tifffile'
    return as_picture(image, swaps_channels)


def as_picture(image: np.ndarray, bgr: bool) -> np.ndarray:
    """An image of any type and number of channels as a viewable RGB picture (H, W, 3), uint8.

    With more than three channels, the first three are shown; with fewer, the first one in gray. If values lie outside
    0..255 or do not exceed 1, the range from the minimum to the maximum is stretched to 0..255.

    Args:
        image: Image (H, W) or (H, W, C).
        bgr: Whether the channel order is BGR.

    Example:
        >>> as_picture(np.array([[0.0, 0.5, 1.0]]), bgr=False)[0, :, 0].tolist()
        [0, 128, 255]
    """
    image = image.reshape(*image.shape[:2], -1)
    shown = image[..., :3] if image.shape[-1] >= 3 else image[..., :1].repeat(3, -1)
    if shown.dtype != np.uint8:
        shown = np.where(np.isfinite(shown), shown, 0).astype(np.float64)
        least, greatest = shown.min(), shown.max()
        if least < 0 or not 1 < greatest <= 255:
            shown = (shown - least) * (255 / max(greatest - least, np.finfo(float).tiny))
        shown = shown.round().astype(np.uint8)
    return np.ascontiguousarray(shown[..., ::-1] if bgr else shown)


def read_labels(dataset: BaseDataset, index: int, key: str) -> LabelMap:
    """A complete label map, checked for mistakes that loading would hide.

    Args:
        dataset: Data set that lists the image.
        index: Index of the image in the data set.
        key: Key of the data set in the config, for error messages.

    Raises:
        ValueError: If the pipeline loads no labels, the file cannot be read, it does not hold one number per pixel,
            loading changes its numbers, or its size differs from the image's. The message names the file and a remedy.

    Example:
        >>> from mmseg_kd.datasets import CamVidDataset
        >>> from mmseg_kd.testing.trees import write_camvid_tree
        >>> root = write_camvid_tree('camvid', images=1, size=(8, 16))
        >>> prefix = dict(img_path='img_dir/train', seg_map_path='ann_dir/train')
        >>> dataset = CamVidDataset(data_root=str(root), data_prefix=prefix, pipeline=[dict(type='LoadAnnotations')])
        >>> read_labels(dataset, 0, 'train_dataloader.dataset').labels.shape
        (8, 16)
    """
    image, results = None, dataset.get_data_info(index)
    info = dict(results)
    for transform in dataset.pipeline.transforms:
        file = 'img_path' if image is None else 'seg_map_path'
        results = _apply(transform, results, info.get(file) or f'image {index}')
        if results is None or 'gt_seg_map' in results:
            break
        image = results.get('img') if image is None else image
    if not results or 'gt_seg_map' not in results:
        raise ValueError(f"no transform loads labels; add dict(type='LoadAnnotations') to {key}.pipeline")
    labels, path = results['gt_seg_map'], info.get('seg_map_path') or f'image {index}'
    # A custom loader may give the numbers of a file any meaning.
    own = any(
        getattr(type(transform), name, None) is not getattr(LoadAnnotations, name)
        for name in ('transform', '_load_seg_map')
    )
    stored, doubt = ([], '') if own else _stored(path, transform, getattr(dataset, 'metainfo', None) or {})
    if labels.ndim != 2:
        raise ValueError(
            f'{path} must give one number per pixel, (H, W), but gives {labels.shape}; check '
            f'{type(transform).__name__} in {key}.pipeline'
        )
    size, tag = results.get('ori_shape'), _orientation(info)
    if size is not None and tuple(size[:2]) != labels.shape:
        remedy = f'check {key}.data_prefix'
        if tag >= 5 and tuple(size[:2]) == labels.shape[::-1]:
            remedy = (
                f'loading rotates the image by its EXIF orientation ({tag}), but not the labels: set '
                f"color_type='color_ignore_orientation' of LoadImageFromFile in {key}.pipeline, or save "
                'the rotated image'
            )
        raise ValueError(
            f'{path} is {labels.shape[0]}x{labels.shape[1]}, but its image is {size[0]}x{size[1]}; {remedy}'
        )
    if tag != UPRIGHT and image is not None and _turned(info, np.asarray(image)):
        doubt = (
            f'{info["img_path"]} has the EXIF orientation {tag} and is rotated by loading; check that its labels '
            f"are rotated too, or set color_type='color_ignore_orientation' of LoadImageFromFile in {key}.pipeline"
        )
    return LabelMap(labels, path, np.unique(labels).tolist() if own else stored, doubt)


def _apply(transform: Any, results: Any, path: str) -> dict | None:
    try:
        return transform(results)
    except Exception as error:
        # This package's own messages already name the file and the remedy.
        if isinstance(error, ValueError) and path in str(error):
            raise
        reason = ' '.join(str(error).split()) or type(error).__name__
        raise ValueError(
            f"{path} can't be loaded by {type(transform).__name__} ({reason}); repair the file or the "
            'transform, or remove the file from the list'
        ) from error


def _stored(path: str, transform: LoadAnnotations, metainfo: dict) -> tuple[list[int], str]:
    """The distinct numbers in a label file that LoadAnnotations reads, and a doubt about its palette.

    Raises:
        ValueError: If LoadAnnotations misreads the file.
    """
    content = fileio.get(path, backend_args=transform.backend_args)
    mode, kind = _form(content)
    pixels = mmcv.imfrombytes(content, flag='unchanged', backend=transform.imdecode_backend).squeeze()
    if kind == 'JPEG':
        raise ValueError(
            f'{path} is a JPEG, whose compression changes the class numbers; save the original labels as PNG'
        )
    if pixels.ndim != 2:
        if mode == 'P':
            raise ValueError(
                f'{path} holds class numbers with a palette, but imdecode_backend='
                f"'{transform.imdecode_backend}' of LoadAnnotations converts them to colors; remove "
                'imdecode_backend'
            )
        raise ValueError(
            f'{path} holds colors ({mode or f"{pixels.shape[-1]} channels"}), but a label map must hold '
            f'one class number per pixel; save it as an 8-bit PNG with class numbers instead of colors'
            f'{_known_colors(pixels, metainfo)}'
        )
    values = np.unique(pixels)
    with np.errstate(invalid='ignore'):
        kept = values.astype(np.uint8)
    changed = [index for index in np.flatnonzero(kept != values) if values[index] not in ALL_ONES]
    if changed:
        told = ', '.join(f'{values[index]:g} becomes {kept[index]}' for index in changed[:NAMED])
        raise ValueError(
            f'{path} holds numbers with more than 8 bits ({pixels.dtype}), but LoadAnnotations keeps only '
            f'8 bits: {told}; save the class numbers as an 8-bit PNG'
        )
    return kept.tolist(), _other_palette(path, content, kept.tolist(), metainfo) if mode == 'P' else ''


def _other_palette(path: str, content: bytes, values: list[int], metainfo: dict) -> str:
    """A doubt, if the file's palette gives its class numbers the colors of other classes."""
    known = [tuple(color) for color in metainfo.get('palette') or ()]
    if metainfo.get('label_map') or len(set(known)) < len(known):
        return ''
    first = int(bool(metainfo.get('reduce_zero_label')))
    with Image.open(io.BytesIO(content)) as picture:
        palette: Any = np.reshape(picture.getpalette() or [], (-1, 3)).tolist()
    colors = {value: tuple(palette[value]) for value in values if first <= value < min(len(palette), 255)}
    others = {value: known.index(color) + first for value, color in colors.items() if color in known}
    if len(others) < len(colors) or all(value == other for value, other in others.items()):
        return ''
    value, other = next((value, other) for value, other in others.items() if value != other)
    return (
        f'{path} shows the number {value} in the color that metainfo.palette gives to {other}. The numbers are used, '
        'not the colors; save the file with the right numbers, or sort metainfo.palette by the numbers'
    )


def _known_colors(pixels: np.ndarray, metainfo: dict) -> str:
    palette = {tuple(color) for color in metainfo.get('palette') or ()}
    if pixels.shape[-1] < 3 or not palette:
        return ''
    found = {tuple(color[::-1]) for color in np.unique(pixels[..., :3].reshape(-1, 3), axis=0).tolist()}
    return ' (its colors are those of metainfo.palette, by place)' if found <= palette else ''


def _form(content: bytes) -> tuple[str, str]:
    """Mode and format of an image file; empty if Pillow cannot read it."""
    try:
        with Image.open(io.BytesIO(content)) as picture:
            return picture.mode, picture.format or ''
    except Exception:
        return '', ''


def _orientation(info: dict) -> int:
    try:
        with Image.open(info['img_path']) as picture:
            return picture.getexif().get(ORIENTATION) or UPRIGHT
    # Files on remote backends, and files that Pillow cannot read, are not rotated by an EXIF tag.
    except Exception:
        return UPRIGHT


def _turned(info: dict, image: np.ndarray) -> bool:
    """Whether loading rotated an image by its EXIF tag."""
    with Image.open(info['img_path']) as picture:
        gray = picture.convert('L')
        upright, stored = (np.asarray(each, np.float64) for each in (ImageOps.exif_transpose(gray), gray))
    loaded = image.reshape(*image.shape[:2], -1).mean(-1)
    distances = [np.abs(loaded - each).mean() if each.shape == loaded.shape else np.inf for each in (upright, stored)]
    return bool(distances[0] < distances[1])
