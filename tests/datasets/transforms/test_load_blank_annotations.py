import numpy as np
import torch
from mmengine.dataset import Compose

from mmseg_kd.models import BranchPreprocessor


def test_packed_labels_tell_image_from_padding_and_nothing_else():
    """Padded by a transform on the left, and by the preprocessor to the right and below."""
    item = Compose(
        [
            dict(type='LoadBlankAnnotations'),
            dict(type='Pad', size=(40, 24), pad_val=dict(img=9, seg=255)),
            dict(type='RandomFlip', prob=1.0, direction='horizontal'),
            dict(type='PackSegInputs', meta_keys=()),
        ]
    )(dict(img=np.full((20, 30, 3), 7, np.uint8), seg_map_path='nowhere.png', seg_fields=[]))
    batch = BranchPreprocessor(size=(32, 48))(
        dict(labeled=dict(inputs=[item['inputs']], data_samples=[item['data_samples']]), unlabeled=[]), training=True
    )
    labels = batch['data_samples']['labeled'][0].gt_sem_seg.data
    expected = torch.full((1, 32, 48), 255)
    expected[0, :20, 10:40] = 0
    assert torch.equal(labels, expected)
    assert torch.equal(batch['inputs']['labeled'][0, 0] == 7, expected[0] == 0)


def test_the_map_is_listed_once_and_the_images_own_list_stays():
    info = dict(img=np.zeros((4, 6, 3), np.uint8), seg_fields=['gt_edge_map'])
    listed = info['seg_fields']
    result = Compose([dict(type='LoadBlankAnnotations')])(info)
    assert result['seg_fields'] == ['gt_edge_map', 'gt_seg_map'] and listed == ['gt_edge_map']
    assert result['gt_seg_map'].shape == (4, 6) and result['gt_seg_map'].dtype == np.uint8
    assert not result['gt_seg_map'].any()
