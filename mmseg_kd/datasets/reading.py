"""Single images and label maps, as the pipeline of their data set reads them, and as they lie on the disk."""

import io
from collections.abc import Sequence
from typing import NamedTuple

import mmcv
import mmengine.fileio as fileio
import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmseg.datasets.transforms import LoadAnnotations
from PIL import Image, ImageOps
from torch import nn
from torch.utils.data import Dataset

from ..distillers.normalization import swaps_channels
from .image_list import listed_images

ORIENTATION = 0x0112  # the EXIF tag; 1 is upright, 5 to 8 exchange height and width
UPRIGHT = 1
# What 255 is called in files of more than 8 bits; a byte keeps 255 of each.
ALL_ONES = (255, 2**16 - 1, 2**32 - 1, -1)
NAMED = 3  # values in a message


class Pictures:
    """The images of a data set by their path, to be looked at, as its pipeline loads them.

    Args:
        dataset: built; the images of one that does not say what it lists are read as color pictures.
        network: that sees them, or whatever holds it as ``module`` or ``student``; its preprocessor tells the order of
            channels.
    """

    def __init__(self, dataset: Dataset, network: nn.Module) -> None:
        self._images = {
            leaf.get_data_info(index).get('img_path'): (leaf, index) for leaf, index in listed_images(dataset)
        }
        while hasattr(network, 'module') or hasattr(network, 'student'):
            network = getattr(network, 'module', None) or network.student
        self._swaps_channels = swaps_channels(getattr(network, 'data_preprocessor', None))

    def __call__(self, path: str) -> np.ndarray:
        """The picture, (H, W, 3), uint8, RGB; see :func:`read_picture`."""
        if path not in self._images:
            return mmcv.imread(path, channel_order='rgb')
        leaf, index = self._images[path]
        return read_picture(leaf.pipeline.transforms, leaf.get_data_info(index), self._swaps_channels)


class LabelMap(NamedTuple):
    """A label map as the transforms of its pipeline load it, before any that moves pixels.

    Args:
        labels: classes (H, W).
        path: of its file.
        stored: the different numbers in the file; those of ``labels`` where a transform of the user reads it.
        doubt: something that the numbers cannot settle, as a sentence; empty if there is nothing.
    """

    labels: np.ndarray
    path: str
    stored: list[int]
    doubt: str


def read_image(transforms: Sequence, info: dict) -> tuple[np.ndarray, object]:
    """An image as the first transforms of a pipeline load it, and the transform that did.

    Args:
        transforms: of the pipeline.
        info: what the data set says of the image, with ``img_path``.

    Returns:
        tuple: (H, W) or (H, W, C), of whatever type and order of channels, before it is resized; the transform.

    Raises:
        ValueError: naming the image, if it cannot be read, or no transform loads it.
    """
    path, results = info.get('img_path', 'the image'), info
    for transform in transforms:
        results = _apply(transform, results, path)
        if results is None:
            break
        if results.get('img') is not None:
            return np.asarray(results['img']), transform
    raise ValueError(f"{path} is loaded by no transform; add dict(type='LoadImageFromFile') to the pipeline")


def read_picture(transforms: Sequence, info: dict, swaps_channels: bool) -> np.ndarray:
    """The same image, to be looked at: (H, W, 3), uint8, RGB.

    Args:
        transforms: of the pipeline.
        info: what the data set says of the image.
        swaps_channels: whether the network's preprocessor exchanges the first and the third channel to get RGB; the
            only hint at the order of channels where a transform of the user loads the image.

    Raises:
        ValueError: as :func:`read_image`.
    """
    image, transform = read_image(transforms, info)
    if isinstance(transform, LoadImageFromFile):
        swaps_channels = transform.imdecode_backend != 'tifffile'
    return as_picture(image, swaps_channels)


def as_picture(image: np.ndarray, bgr: bool) -> np.ndarray:
    """An image of any type and number of channels as (H, W, 3), uint8, RGB.

    Of more than three channels, the first three are shown; of fewer, the first in gray. Values beyond 0..255, and
    values of at most 1, are stretched to 0..255 between their least and their greatest.

    Args:
        image: (H, W) or (H, W, C).
        bgr: whether blue comes first.
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


def read_labels(dataset: Dataset, index: int, key: str) -> LabelMap:
    """A whole label map, and what becomes of its file on the way.

    Args:
        dataset: that lists the image.
        index: of the image in it.
        key: of the data set in the config, for messages.

    Raises:
        ValueError: naming the file and the remedy, if the pipeline loads no labels, the file cannot be read, holds no
            number for each pixel or numbers that loading changes, or is of another size than its image.
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
    # A loader of the user's own may give the numbers of a file any meaning.
    own = any(
        getattr(type(transform), name, None) is not getattr(LoadAnnotations, name)
        for name in ('transform', '_load_seg_map')
    )
    stored, doubt = ([], '') if own else _stored(path, transform, getattr(dataset, 'metainfo', None) or {})
    if labels.ndim != 2:
        raise ValueError(
            f'{path} must give one number for each pixel, (H, W), but gives {labels.shape}; see '
            f'{type(transform).__name__} in {key}.pipeline'
        )
    size, tag = results.get('ori_shape'), _orientation(info)
    if size is not None and tuple(size[:2]) != labels.shape:
        remedy = f'check {key}.data_prefix'
        if tag >= 5 and tuple(size[:2]) == labels.shape[::-1]:
            remedy = (
                f'its EXIF orientation ({tag}) turns the image as it is loaded, and not the labels: set '
                f"color_type='color_ignore_orientation' of LoadImageFromFile in {key}.pipeline, or save "
                'the image turned'
            )
        raise ValueError(
            f'{path} is {labels.shape[0]}x{labels.shape[1]}, but its image is {size[0]}x{size[1]}; {remedy}'
        )
    if tag != UPRIGHT and image is not None and _turned(info, np.asarray(image)):
        doubt = (
            f'{info["img_path"]} has the EXIF orientation {tag} and is turned as it is loaded; see that its labels '
            f"are turned too, or set color_type='color_ignore_orientation' of LoadImageFromFile in {key}.pipeline"
        )
    return LabelMap(labels, path, np.unique(labels).tolist() if own else stored, doubt)


def _apply(transform: object, results: dict, path: str) -> dict | None:
    try:
        return transform(results)
    except Exception as error:
        # What is written for people names the file and the remedy already.
        if isinstance(error, ValueError) and path in str(error):
            raise
        reason = ' '.join(str(error).split()) or type(error).__name__
        raise ValueError(
            f"{path} can't be loaded by {type(transform).__name__} ({reason}); mend the file or the "
            'transform, or take the file out of the list'
        ) from error


def _stored(path: str, transform: LoadAnnotations, metainfo: dict) -> tuple[list[int], str]:
    """The different numbers in a label file that LoadAnnotations reads, and a doubt about its palette.

    Raises:
        ValueError: if what it reads is not what the file means.
    """
    content = fileio.get(path, backend_args=transform.backend_args)
    mode, kind = _form(content)
    pixels = mmcv.imfrombytes(content, flag='unchanged', backend=transform.imdecode_backend).squeeze()
    if kind == 'JPEG':
        raise ValueError(
            f'{path} is a JPEG, whose compression changes the numbers of labels; save labels as PNG, from '
            'what the JPEG was made of'
        )
    if pixels.ndim != 2:
        if mode == 'P':
            raise ValueError(
                f'{path} holds class numbers with a palette, which imdecode_backend='
                f"'{transform.imdecode_backend}' of LoadAnnotations turns into colors; leave "
                'imdecode_backend out'
            )
        raise ValueError(
            f'{path} holds colors ({mode or f"{pixels.shape[-1]} channels"}), but a label map must hold '
            f'one class number for each pixel; save it as an 8-bit PNG with the number of each color'
            f'{_known_colors(pixels, metainfo)}'
        )
    values = np.unique(pixels)
    with np.errstate(invalid='ignore'):
        kept = values.astype(np.uint8)
    changed = [index for index in np.flatnonzero(kept != values) if values[index] not in ALL_ONES]
    if changed:
        told = ', '.join(f'{values[index]:g} becomes {kept[index]}' for index in changed[:NAMED])
        raise ValueError(
            f'{path} holds numbers that need more than 8 bits ({pixels.dtype}), of which LoadAnnotations '
            f'keeps 8: {told}; save the class numbers as an 8-bit PNG'
        )
    return kept.tolist(), _other_palette(path, content, kept.tolist(), metainfo) if mode == 'P' else ''


def _other_palette(path: str, content: bytes, values: list[int], metainfo: dict) -> str:
    """A doubt, if the colors of a file's numbers are those of other classes."""
    known = [tuple(color) for color in metainfo.get('palette') or ()]
    if metainfo.get('label_map') or len(set(known)) < len(known):
        return ''
    first = int(bool(metainfo.get('reduce_zero_label')))
    with Image.open(io.BytesIO(content)) as picture:
        palette = np.reshape(picture.getpalette(), (-1, 3)).tolist()
    colors = {value: tuple(palette[value]) for value in values if first <= value < min(len(palette), 255)}
    others = {value: known.index(color) + first for value, color in colors.items() if color in known}
    if len(others) < len(colors) or all(value == other for value, other in others.items()):
        return ''
    value, other = next((value, other) for value, other in others.items() if value != other)
    return (
        f'{path} draws the number {value} in the color that metainfo.palette gives to {other}, and numbers count, '
        'not colors; save it with the number of each color, or bring metainfo.palette into the order of the numbers'
    )


def _known_colors(pixels: np.ndarray, metainfo: dict) -> str:
    palette = {tuple(color) for color in metainfo.get('palette') or ()}
    if pixels.shape[-1] < 3 or not palette:
        return ''
    found = {tuple(color[::-1]) for color in np.unique(pixels[..., :3].reshape(-1, 3), axis=0).tolist()}
    return ' (its colors are those of metainfo.palette, by place)' if found <= palette else ''


def _form(content: bytes) -> tuple[str, str]:
    """Mode and format of an image file, empty where Pillow does not know it."""
    try:
        with Image.open(io.BytesIO(content)) as picture:
            return picture.mode, picture.format or ''
    except Exception:
        return '', ''


def _orientation(info: dict) -> int:
    try:
        with Image.open(info['img_path']) as picture:
            return picture.getexif().get(ORIENTATION) or UPRIGHT
    # Not a file of this machine, or none that Pillow knows: it is turned by no EXIF tag.
    except Exception:
        return UPRIGHT


def _turned(info: dict, image: np.ndarray) -> bool:
    """Whether an image was loaded as its EXIF tag says, and not as its pixels are stored."""
    with Image.open(info['img_path']) as picture:
        gray = picture.convert('L')
        upright, stored = (np.asarray(each, np.float64) for each in (ImageOps.exif_transpose(gray), gray))
    loaded = image.reshape(*image.shape[:2], -1).mean(-1)
    distances = [np.abs(loaded - each).mean() if each.shape == loaded.shape else np.inf for each in (upright, stored)]
    return bool(distances[0] < distances[1])
