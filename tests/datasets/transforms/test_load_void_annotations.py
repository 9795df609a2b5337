import numpy as np
import pytest
from mmengine.dataset import Compose


@pytest.mark.parametrize('ignored', [255, 254])
def test_no_pixel_of_the_image_and_its_padding_has_a_label(ignored):
    pipeline = Compose(
        [
            dict(type='LoadVoidAnnotations', ignore_index=ignored),
            dict(type='Resize', scale=(6, 4), keep_ratio=False),
            dict(type='RandomCrop', crop_size=(3, 5), cat_max_ratio=0.75, ignore_index=ignored),
            dict(type='RandomFlip', prob=1.0),
            dict(type='Pad', size=(5, 7), pad_val=dict(img=0, seg=ignored)),
            dict(type='PackSegInputs'),
        ]
    )
    image = np.random.default_rng(0).integers(0, 256, (8, 12, 3), np.uint8)
    sample = pipeline(dict(img=image, img_shape=(8, 12), seg_map_path='labels.png'))['data_samples']
    assert sample.gt_sem_seg.data.shape == (1, 7, 5)
    assert sample.gt_sem_seg.data.unique().tolist() == [ignored]


def test_the_map_is_beside_other_maps():
    pipeline = Compose([dict(type='LoadVoidAnnotations')])
    info = dict(img=np.zeros((2, 3, 3), np.uint8), seg_fields=['gt_edge_map'])
    result = pipeline(info)
    assert result['seg_fields'] == ['gt_edge_map', 'gt_seg_map'] and result['gt_seg_map'].dtype == np.uint8


@pytest.mark.parametrize('ignored', [-100, 256])
def test_labels_that_no_image_of_labels_holds_are_refused(ignored):
    with pytest.raises(ValueError, match=f'ignore_index must be from 0 to 255, but is {ignored}'):
        Compose([dict(type='LoadVoidAnnotations', ignore_index=ignored)])
