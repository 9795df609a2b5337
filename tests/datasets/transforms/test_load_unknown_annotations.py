import numpy as np
from mmengine.dataset import Compose


def test_pixels_of_the_image_are_unknown_and_its_padding_is_ignored():
    pipeline = Compose(
        [
            dict(type='LoadUnknownAnnotations'),
            dict(type='Resize', scale=(6, 4), keep_ratio=False),
            dict(type='RandomCrop', crop_size=(3, 5), cat_max_ratio=0.75),
            dict(type='RandomFlip', prob=1.0),
            dict(type='Pad', size=(5, 7), pad_val=dict(img=0, seg=255)),
            dict(type='PackSegInputs'),
        ]
    )
    image = np.random.default_rng(0).integers(0, 256, (8, 12, 3), np.uint8)
    info = dict(img=image, img_shape=(8, 12), seg_map_path='labels.png', seg_fields=['gt_edge_map'])
    info['gt_edge_map'] = np.zeros((8, 12), np.uint8)
    sample = pipeline(info)['data_samples']
    expected = np.full((7, 5), 255)
    expected[:3] = 254
    assert np.array_equal(sample.gt_sem_seg.data[0].numpy(), expected) and 'gt_edge_map' in sample
