import numpy as np
import pytest
from mmengine.dataset import Compose

from mmseg_kd.datasets import PackSoftSegInputs

# Pixels that read the very cell that their hard label comes from: all, but that OpenCV turns bytes and larger numbers
# by two routines, which may differ by a pixel where cells meet.
MOVES = [
    ([dict(type='Resize', scale=(90, 66), keep_ratio=False)], 1),
    (
        [
            dict(type='RandomResize', scale=(64, 48), ratio_range=(0.6, 1.7), keep_ratio=True),
            dict(type='RandomCrop', crop_size=(40, 44), cat_max_ratio=0.75),
        ],
        1,
    ),
    ([dict(type='RandomFlip', prob=1.0, direction=['horizontal', 'vertical'])], 1),
    ([dict(type='RandomAffine', degrees=20.0, translate=0.2, scale=(0.8, 1.2))], 0.98),
    ([dict(type='RandomRotate', prob=1.0, degree=30.0)], 0.98),
]


def scene(folder, size=(48, 64), stride=4):
    """Labels that are one class in each cell, and soft labels whose best class is that one."""
    random = np.random.default_rng(0)
    cells = tuple(side // stride for side in size)
    classes = random.permuted(np.arange(4)[:, None, None] * np.ones((1, *cells), int), axis=0).astype(np.uint8)[:2]
    shares = np.stack([random.uniform(0.5, 0.7, cells), random.uniform(0.1, 0.2, cells)]).astype(np.float16)
    np.savez(
        folder / 'image.npz',
        classes=classes,
        shares=shares,
        rest=(1 - shares.sum(0)).astype(np.float16),
        stride=np.int64(stride),
    )
    return dict(
        img=random.integers(0, 256, (*size, 3), dtype=np.uint8),
        img_shape=size,
        seg_fields=['gt_seg_map'],
        gt_seg_map=classes[0].repeat(stride, 0).repeat(stride, 1),
        seg_map_path='',
        soft_label_path=str(folder / 'image.npz'),
    )


@pytest.mark.parametrize('moves, least', MOVES)
def test_soft_labels_move_with_the_hard_ones(tmp_path, moves, least):
    np.random.seed(0)
    pipeline = Compose([dict(type='LoadSoftLabels'), *moves, dict(type='PackSoftSegInputs', stride=2, meta_keys=())])
    for _ in range(5):
        sample = pipeline(scene(tmp_path))['data_samples']
        hard = sample.gt_sem_seg.data[0, 1::2, 1::2].numpy()
        known = hard != 255
        assert sample.soft_labels.shape == hard.shape and known.mean() > 0.3 and len(np.unique(hard[known])) == 4
        assert (sample.soft_labels.classes[0].numpy()[known] == hard[known]).mean() >= least


def test_classes_and_probabilities_belong_together(tmp_path):
    pipeline = [
        dict(type='LoadSoftLabels'),
        dict(type='RandomFlip', prob=1.0, direction='horizontal'),
        dict(type='PackSoftSegInputs', stride=4),
    ]
    labels = Compose(pipeline)(scene(tmp_path))['data_samples'].soft_labels
    with np.load(tmp_path / 'image.npz') as stored:
        assert np.array_equal(labels.classes.numpy(), stored['classes'][:, :, ::-1])
        assert np.array_equal(
            labels.shares.numpy(), np.concatenate([stored['shares'], stored['rest'][None]])[:, :, ::-1]
        )
    assert (
        labels.stride == 4
        and str(labels.shares.dtype) == 'torch.float16'
        and str(labels.classes.dtype) == 'torch.uint8'
    )


def test_an_image_of_few_cells_may_be_turned(tmp_path):
    pipeline = [
        dict(type='LoadSoftLabels'),
        dict(type='RandomRotate', prob=1.0, degree=(45.0, 45.1)),
        dict(type='PackSoftSegInputs'),
    ]
    sample = Compose(pipeline)(scene(tmp_path, size=(8, 8)))['data_samples']
    assert sample.soft_labels.shape == (2, 2) and (sample.gt_sem_seg.data == 255).any()


def test_what_does_not_fit_is_said(tmp_path):
    padded = [dict(type='LoadSoftLabels'), dict(type='Pad', size=(64, 50)), dict(type='PackSoftSegInputs')]
    with pytest.raises(ValueError, match='Pad changes only gt_seg_map.*an image of 50x64 and soft_cells of 48x64'):
        Compose(padded)(scene(tmp_path))
    with pytest.raises(ValueError, match=r"needs soft labels, but none were loaded; add dict\(type='LoadSoftLabels'\)"):
        PackSoftSegInputs()(dict(img=np.zeros((8, 8, 3), np.uint8)))
