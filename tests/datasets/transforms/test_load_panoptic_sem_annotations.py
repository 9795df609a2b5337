import mmcv
import numpy as np
import pytest

from mmseg_kd.datasets import LoadPanopticSemAnnotations

IDS = np.array([[1, 256, 65536], [0, 65536, 66051]])


@pytest.fixture
def file(tmp_path):
    """A PNG whose red, green and blue are the bytes of the ids, the lowest first."""
    rgb = np.stack([IDS % 256, IDS // 256 % 256, IDS // 65536], axis=-1).astype(np.uint8)
    mmcv.imwrite(rgb[..., ::-1], str(tmp_path / 'x.png'))
    return str(tmp_path / 'x.png')


def test_segments_of_all_three_bytes_get_their_class_and_others_are_ignored(file):
    segments = [(1, 0), (256, 7), (65536, 132), (66051, 7)]
    results = LoadPanopticSemAnnotations().transform(dict(seg_map_path=file, segments=segments, seg_fields=['x']))
    assert results['gt_seg_map'].tolist() == [[0, 7, 132], [255, 132, 7]] and results['gt_seg_map'].dtype == np.uint8
    assert results['seg_fields'] == ['x', 'gt_seg_map']


def test_a_listed_segment_without_pixels_is_told(file):
    with pytest.raises(ValueError, match='x.png must hold the segments that its JSON lists, but has no pixel of seg'):
        LoadPanopticSemAnnotations().transform(dict(seg_map_path=file, segments=[(2, 0)]))
