import cv2
import numpy as np
import pytest
from mmengine.dataset import ConcatDataset
from mmseg.datasets import MultiImageMixDataset
from mmseg.registry import TRANSFORMS

from mmseg_kd.datasets import CamVidDataset, OriginalPixels, ViewDataset, original_pixels, with_original_pixels
from mmseg_kd.datasets.original_pixels import usual_reduction
from mmseg_kd.io.errors import ConfigError
from mmseg_kd.testing.trees import write_camvid_tree

LOAD, PACK = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')], [dict(type='PackSegInputs')]
HALF = dict(type='Resize', scale=(48, 32))
CROP, FLIP = dict(type='RandomCrop', crop_size=(16, 20)), dict(type='RandomFlip', prob=0.5)


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    return write_camvid_tree(tmp_path_factory.mktemp('camvid'), images=2, size=(64, 96))


@pytest.fixture(scope='module')
def image(root):
    return cv2.imread(str(sorted((root / 'img_dir/train').iterdir())[0]))


@pytest.fixture
def camvid(root):
    def build(*steps):
        prefix = dict(img_path='img_dir/train', seg_map_path='ann_dir/train')
        return CamVidDataset(data_root=str(root), data_prefix=prefix, pipeline=[*LOAD, *steps, *PACK])

    return build


def original(item):
    return item['data_samples'].original.data.numpy().transpose(1, 2, 0)


def test_half_size_crops_and_flips_show_the_pixels_of_the_file(camvid, image):
    dataset = ViewDataset(with_original_pixels(camvid(HALF, CROP, FLIP, dict(type='PhotoMetricDistortion'))))
    flips = set()
    for number in range(6):
        item = dataset.view(0, number)
        part = original(item)
        flips.add(item['data_samples'].flip)
        seen = part[:, ::-1] if item['data_samples'].flip else part
        assert part.shape == (32, 40, 3) and item['data_samples'].original.scale == 2
        assert any(
            np.array_equal(seen, image[y : y + 32, x : x + 40]) for y in range(0, 33, 2) for x in range(0, 57, 2)
        )
    assert flips == {False, True}


def test_the_student_sees_what_it_sees_without(camvid):
    plain, other = ViewDataset(camvid(HALF, CROP, FLIP)), ViewDataset(with_original_pixels(camvid(HALF, CROP, FLIP)))
    for number in range(3):
        first, second = plain.view(1, number), other.view(1, number)
        assert (first['inputs'] == second['inputs']).all()
        assert (first['data_samples'].gt_sem_seg.data == second['data_samples'].gt_sem_seg.data).all()
        assert first['data_samples'].metainfo == second['data_samples'].metainfo


CUTOUT = dict(type='RandomCutOut', prob=1.0, n_holes=1, cutout_shape=(4, 4), seg_fill_in=255)
STEPS = [
    [dict(type='RandomRotate', prob=1.0, degree=30)],
    [dict(type='RandomAffine', degrees=20, scale=(0.8, 1.2), shear=5, translate=0.1)],
    [dict(type='RandomResize', scale=(48, 32), ratio_range=(0.5, 2.0), keep_ratio=True), CROP],
    [dict(type='RandomChoice', transforms=[[dict(type='RandomResize', scale=(48, 32), ratio_range=(0.7, 0.9)), FLIP]])],
    [dict(type='RandomApply', transforms=[HALF], prob=1.0), dict(type='ResizeToMultiple', size_divisor=16)],
    [HALF, dict(type='RandomRotFlip', rotate_prob=1.0, flip_prob=1.0, degree=10)],
    [HALF, dict(type='mmcv.Pad', size=(40, 60)), CROP],
    [CUTOUT, HALF],
]


@pytest.mark.parametrize('steps', STEPS, ids=lambda steps: steps[0]['type'])
def test_at_the_size_of_the_image_it_is_the_image(camvid, monkeypatch, steps):
    """Of a smooth image, every transform gives what is cut from the original."""
    ramp = np.dstack([np.add.outer(np.arange(64), np.arange(96))] * 3).astype(np.uint8)
    monkeypatch.setattr(
        'mmcv.imfrombytes', lambda *args, flag, **kwargs: (ramp if flag == 'color' else ramp[..., 0] % 11).copy()
    )
    dataset = camvid(*steps)
    dataset.pipeline = OriginalPixels(dataset.pipeline.transforms, scale=1.0)
    for number in range(3):
        item = ViewDataset(dataset).view(0, number)
        seen, part = item['inputs'].numpy().transpose(1, 2, 0).astype(int), original(item).astype(int)
        inside = cv2.erode(((seen > 0) & (part > 0)).all(2).astype(np.uint8), np.ones((5, 5)), borderValue=0) > 0
        assert part.shape == seen.shape and inside.mean() > 0.2
        assert np.abs(seen - part)[inside].max() <= 2


@TRANSFORMS.register_module()
class FlipOfImageAndLabelsAlone:
    def __call__(self, results):
        return dict(results, img=results['img'][:, ::-1].copy(), gt_seg_map=results['gt_seg_map'][:, ::-1].copy())


@TRANSFORMS.register_module()
class Halves:
    def __call__(self, results):
        return dict(results, **{key: np.roll(results[key], 40, 1) for key in ['img', *results['seg_fields']]})


@pytest.mark.parametrize(
    'step, words',
    [
        (dict(type='FlipOfImageAndLabelsAlone'), 'FlipOfImageAndLabelsAlone moves pixels without moving all maps'),
        (dict(type='CenterCrop', crop_size=(16, 16)), 'CenterCrop moves pixels without moving all maps'),
        (dict(type='Halves'), 'Halves moves pixels in a way that is not affine'),
        (dict(type='RandomMosaic', prob=1.0), 'RandomMosaic mixes several images'),
    ],
)
def test_what_cannot_be_followed_is_refused_by_name(camvid, step, words):
    with pytest.raises(ConfigError, match=words):
        with_original_pixels(camvid(HALF, step))


def test_a_data_set_that_mixes_images_is_refused(camvid):
    steps = [dict(type='RandomMosaic', prob=1.0, img_scale=(64, 96)), HALF, *PACK]
    with pytest.raises(ConfigError, match='MultiImageMixDataset mixes images of another one; remove pixels'):
        with_original_pixels(MultiImageMixDataset(ConcatDataset([camvid()]), steps))


def test_images_that_are_not_reduced_are_refused(camvid):
    with pytest.raises(ConfigError, match='one pixel of an image is 1 pixels of its file along a side; remove pixels'):
        with_original_pixels(camvid(CROP))


def test_the_size_is_that_of_the_middle_of_random_resizing(camvid):
    assert usual_reduction(camvid(dict(type='RandomResize', scale=(48, 32), ratio_range=(0.5, 2.0)), CROP)) == 2
    dataset = with_original_pixels(
        camvid(dict(type='RandomResize', scale=(48, 32), ratio_range=(0.5, 2.0)), CROP), 0.75
    )
    sizes = {original(ViewDataset(dataset).view(0, number)).shape for number in range(4)}
    assert sizes == {(24, 30, 3)}


def test_all_joined_and_wrapped_data_sets_have_it_and_lose_it_after_the_context(camvid, image):
    first, second = camvid(HALF), camvid(dict(type='Resize', scale=(32, 16)))
    dataset = ViewDataset(ConcatDataset([first, second]))
    with original_pixels(dataset) as inside:
        assert np.array_equal(original(inside[0]), image) and original(inside[2]).shape == (64, 96, 3)
    assert 'original' not in dataset[0]['data_samples'] and type(first.pipeline) is type(second.pipeline)
