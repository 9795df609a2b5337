import copy

import pytest
import torch
from mmengine.structures import PixelData
from mmseg.models import SegTTAModel
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from mmseg_kd.engine import ShareTTAModel
from mmseg_kd.testing.toys import toy_segmentor


def binary(threshold):
    model = toy_segmentor(4, 2, auxiliary=False)
    model.decode_head.update(
        out_channels=1, threshold=threshold, loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=True)
    )
    return model


def views(*maps):
    return [
        SegDataSample(metainfo=dict(img_path='a.png'), seg_logits=PixelData(data=torch.tensor(one))) for one in maps
    ]


@pytest.mark.parametrize('threshold, labels', [(0.3, [0, 1, 1]), (0.5, [0, 0, 1])])
def test_the_mean_probability_of_one_channel_is_compared_with_its_threshold(threshold, labels):
    model = ShareTTAModel(module=MODELS.build(binary(threshold)))
    seen = views([[[0.0, 0.1, 0.9]]], [[[0.2, 0.7, 0.5]]])  # means 0.1, 0.4, 0.7
    (sample,) = model.merge_preds([seen])
    assert sample.pred_sem_seg.data.tolist() == [[labels]] and sample.img_path == 'a.png'


def test_other_networks_get_what_mmsegmentation_gives_them():
    network = MODELS.build(toy_segmentor(4))
    seen = views(*torch.randn(3, 4, 5, 6, generator=torch.Generator().manual_seed(0)).tolist())
    (ours,) = ShareTTAModel(module=network).merge_preds([copy.deepcopy(seen)])
    (theirs,) = SegTTAModel(module=network).merge_preds([seen])
    assert torch.equal(ours.pred_sem_seg.data, theirs.pred_sem_seg.data)
