"""Files as cameras, painters and other toolboxes leave them, through the pipeline of a data set."""

import numpy as np
import pytest
import torch
from mmcv.transforms import BaseTransform
from mmengine.dataset import RepeatDataset
from mmseg.datasets import BaseSegDataset
from mmseg.datasets.transforms import LoadAnnotations
from mmseg.models import SegDataPreProcessor
from PIL import Image
from torch.utils.data import ConcatDataset

from mmseg_kd.datasets.reading import ORIENTATION, Pictures, as_picture, read_image, read_labels, read_picture

PALETTE = [[0, 0, 0], [255, 0, 0], [0, 255, 0]]
LOAD = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')]


def data(folder, pipeline=LOAD, **settings):
    settings.setdefault('metainfo', dict(classes=('a', 'b', 'c'), palette=PALETTE))
    return BaseSegDataset(
        data_root=str(folder),
        img_suffix='.jpg',
        seg_map_suffix='.png',
        pipeline=pipeline,
        data_prefix=dict(img_path='img', seg_map_path='ann'),
        **settings,
    )


@pytest.fixture
def folder(tmp_path):
    """A picture of 2 x 4 pixels, the upper row white, and its labels."""
    for name in ('img', 'ann'):
        (tmp_path / name).mkdir()
    picture = Image.fromarray(np.array([[255] * 4, [0] * 4], np.uint8)).convert('RGB')
    picture.save(tmp_path / 'img' / 'x.jpg', quality=100)
    write(tmp_path, np.array([[0, 1, 2, 255], [1, 1, 1, 1]], np.uint8))
    return tmp_path


def write(folder, labels, palette=None, **settings):
    picture = Image.fromarray(labels)
    if palette:
        # With all of its 256 colors, or Pillow would save fewer bits and change the number of ignored pixels.
        picture.putpalette(sum(palette, []) + [0] * (768 - 3 * len(palette)))
    picture.save(folder / 'ann' / 'x.png', **settings)


def turn(folder, tag):
    picture = Image.open(folder / 'img' / 'x.jpg')
    exif = picture.getexif()
    exif[ORIENTATION] = tag
    picture.save(folder / 'img' / 'x.jpg', exif=exif, quality=100)


def refused(folder, words, **settings):
    with pytest.raises(ValueError, match=words) as caught:
        read_labels(data(folder, **settings), 0, 'train_dataloader.dataset')
    assert '\n' not in str(caught.value)


def test_labels_are_read_whole_with_what_is_stored(folder):
    read = read_labels(data(folder), 0, 'train_dataloader.dataset')
    assert read.labels.tolist() == [[0, 1, 2, 255], [1, 1, 1, 1]] and read.stored == [0, 1, 2, 255] and not read.doubt
    assert read.path == str(folder / 'ann' / 'x.png')
    read = read_labels(data(folder, reduce_zero_label=True), 0, 'train_dataloader.dataset')
    assert read.labels[0].tolist() == [255, 0, 1, 255] and read.stored == [0, 1, 2, 255]


def test_numbers_of_more_than_a_byte_are_refused_before_they_become_classes(folder):
    write(folder, np.array([[0, 256, 7001, 2]], np.uint16).repeat(2, 0))
    refused(
        folder,
        r'x.png holds numbers with more than 8 bits \(.*\), but LoadAnnotations keeps only 8 bits: '
        r'256 becomes 0, 7001 becomes 89; save the class numbers as an 8-bit PNG',
    )
    # Sixteen bits that hold classes, and ignored pixels with all bits set, lose nothing.
    write(folder, np.array([[0, 1, 2, 65535]], np.uint16).repeat(2, 0))
    assert read_labels(data(folder), 0, 'train_dataloader.dataset').labels[0].tolist() == [0, 1, 2, 255]


def test_colors_are_no_labels(folder):
    write(folder, np.array(PALETTE, np.uint8)[[[0, 1, 2, 1]] * 2])
    refused(
        folder,
        r'x.png holds colors \(RGB\), .* 8-bit PNG with class numbers instead of colors '
        r'\(its colors are those of metainfo.palette, by place\)',
    )
    write(folder, np.full((2, 4, 4), 7, np.uint8))
    refused(folder, r'x.png holds colors \(RGBA\).* instead of colors$')


def test_a_palette_is_no_color_but_where_the_backend_makes_it_one(folder):
    write(folder, np.array([[0, 1, 2, 255]] * 2, np.uint8), PALETTE)
    assert read_labels(data(folder), 0, 'train_dataloader.dataset').labels[0].tolist() == [0, 1, 2, 255]
    refused(
        folder,
        "but imdecode_backend='cv2' of LoadAnnotations converts them to colors; remove imdecode_backend",
        pipeline=[LOAD[0], dict(LOAD[1], imdecode_backend='cv2')],
    )


def test_a_palette_in_another_order_than_that_of_the_classes_is_doubted(folder):
    write(folder, np.array([[0, 1, 2, 255]] * 2, np.uint8), [PALETTE[0], PALETTE[2], PALETTE[1]])
    read = read_labels(data(folder), 0, 'train_dataloader.dataset')
    assert 'x.png shows the number 1 in the color that metainfo.palette gives to 2' in read.doubt
    # Of a label that is reduced, the number is one more than the class.
    write(folder, np.array([[0, 1, 2, 3]] * 2, np.uint8), [[9, 9, 9], *PALETTE])
    assert not read_labels(data(folder, reduce_zero_label=True), 0, 'train_dataloader.dataset').doubt


def test_a_jpeg_is_no_label_file(folder):
    write(folder, np.array([[0, 1, 2, 1]] * 2, np.uint8), format='JPEG')
    refused(folder, 'x.png is a JPEG, whose compression changes the class numbers')


def test_labels_of_a_turned_image_must_be_turned_like_it(folder):
    turn(folder, 6)  # stored 2 x 4, to be seen 4 x 2
    refused(
        folder,
        r'x.png is 2x4, but its image is 4x2; loading rotates the image by its EXIF orientation \(6\), .* set '
        r"color_type='color_ignore_orientation' of LoadImageFromFile in train_dataloader.dataset.pipeline",
    )
    ignored = [dict(LOAD[0], color_type='color_ignore_orientation'), LOAD[1]]
    assert not read_labels(data(folder, ignored), 0, 'train_dataloader.dataset').doubt
    write(folder, np.zeros((4, 2), np.uint8))
    assert 'has the EXIF orientation 6 and is rotated' in read_labels(data(folder), 0, 'train_dataloader.dataset').doubt


def test_an_image_upside_down_is_doubted_where_sizes_tell_nothing(folder):
    turn(folder, 3)
    doubt = read_labels(data(folder), 0, 'train_dataloader.dataset').doubt
    assert 'orientation 3 and is rotated by loading' in doubt
    ignored = [dict(LOAD[0], color_type='color_ignore_orientation'), LOAD[1]]
    assert not read_labels(data(folder, ignored), 0, 'train_dataloader.dataset').doubt


def test_another_size_and_files_that_are_none_are_named(folder):
    write(folder, np.zeros((3, 4), np.uint8))
    refused(folder, 'x.png is 3x4, but its image is 2x4; check train_dataloader.dataset.data_prefix')
    (folder / 'ann' / 'x.png').write_text('no picture')
    refused(folder, "ann/x.png can't be loaded by LoadAnnotations .*; repair the file")
    (folder / 'img' / 'x.jpg').write_text('no picture')
    refused(folder, "img/x.jpg can't be loaded by LoadImageFromFile")
    refused(folder, r"add dict\(type='LoadAnnotations'\) to train_dataloader.dataset.pipeline", pipeline=[])


class LoadMask(LoadAnnotations):
    """What users write for masks of 0 and 255."""

    def _load_seg_map(self, results):
        super()._load_seg_map(results)
        results['gt_seg_map'] //= 255


class LoadArray(BaseTransform):
    def transform(self, results):
        return dict(results, img=np.broadcast_to(np.array([0, 0, 1000, 9, 9], np.uint16), (2, 4, 5)), ori_shape=(2, 4))


def test_a_loader_of_the_users_own_gives_files_their_meaning(folder):
    write(folder, np.array([[0, 255, 255, 0]] * 2, np.uint8))
    read = read_labels(data(folder, [*LOAD[:1], LoadMask()]), 0, 'train_dataloader.dataset')
    assert read.labels[0].tolist() == [0, 1, 1, 0] and read.stored == [0, 1]


def test_an_image_is_what_the_pipeline_loads_before_it_is_resized(folder):
    dataset = data(folder, [LoadArray(), dict(type='Resize', scale=(8, 8)), LOAD[1]])
    image, transform = read_image(dataset.pipeline.transforms, dataset.get_data_info(0))
    assert image.shape == (2, 4, 5) and image.dtype == np.uint16 and isinstance(transform, LoadArray)
    with pytest.raises(ValueError, match="x.jpg is loaded by no transform; add dict\\(type='LoadImageFromFile'\\)"):
        read_image([], dataset.get_data_info(0))


@pytest.mark.parametrize(
    'image, expected',
    [
        ([[0, 100], [200, 255]], [[0, 100], [200, 255]]),  # gray bytes
        ([[0.0, 100], [200, 255]], [[0, 100], [200, 255]]),  # bytes that are called floats
        ([[0.0, 0.5], [0.25, 1]], [[0, 128], [64, 255]]),
        ([[-1.0, 0], [np.nan, 1]], [[0, 128], [128, 255]]),
        ([[1000, 3000], [2000, 1000]], [[0, 255], [128, 0]]),
        ([[7.0, 7], [7, 7]], [[7, 7], [7, 7]]),
        ([[700.0, 700], [700, 700]], [[0, 0], [0, 0]]),
    ],
)
def test_a_picture_is_shown_whatever_its_numbers(image, expected):
    array = np.array(image)
    array = array.astype(
        np.uint8
        if array.dtype.kind == 'i' and array.max() <= 255
        else np.uint16
        if array.dtype.kind == 'i'
        else np.float32
    )
    assert as_picture(array, bgr=True)[..., 1].tolist() == expected
    assert as_picture(array[..., None], bgr=False).shape == (2, 2, 3)


def test_of_many_channels_three_are_shown_in_the_order_that_the_network_takes(folder):
    image = np.arange(5, dtype=np.uint8)[None, None].repeat(2, 0)
    assert as_picture(image, bgr=True)[0, 0].tolist() == [2, 1, 0]
    assert as_picture(image, bgr=False)[0, 0].tolist() == [0, 1, 2]
    Image.new('RGB', (4, 2), (250, 10, 20)).save(folder / 'img' / 'x.jpg', quality=100)
    dataset = data(folder)
    picture = read_picture(dataset.pipeline.transforms, dataset.get_data_info(0), swaps_channels=False)
    assert np.abs(picture[0, 0].astype(int) - [250, 10, 20]).max() <= 3  # OpenCV's order is known


def test_pictures_are_those_that_the_pipeline_loads_within_whatever_wraps_the_data_set(folder):
    class Network(torch.nn.Module):
        """As DDP and a distiller hold the one that counts."""

        def __init__(self, swaps, **inner):
            super().__init__()
            self.data_preprocessor = SegDataPreProcessor(bgr_to_rgb=swaps)
            for name, module in inner.items():
                setattr(self, name, module)

    dataset = data(folder, [LoadArray(), dict(type='Resize', scale=(8, 8)), LOAD[1]])
    wrapped = ConcatDataset([RepeatDataset(dataset, 3)])
    path = str(folder / 'img' / 'x.jpg')
    for swaps, first in ((True, [255, 0, 0]), (False, [0, 0, 255])):
        network = Network(not swaps, module=Network(not swaps, student=Network(swaps)))
        assert Pictures(wrapped, network)(path)[0, 0].tolist() == first
    # A data set that lists nothing: the file is read as a picture.
    assert Pictures([1, 2], network)(path).shape == (2, 4, 3)
