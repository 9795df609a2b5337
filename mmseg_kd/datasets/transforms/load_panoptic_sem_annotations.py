import mmcv
import mmengine.fileio as fileio
import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS

from ...constants import IGNORE_INDEX


@TRANSFORMS.register_module()
class LoadPanopticSemAnnotations(BaseTransform):
    """Read a panoptic PNG of COCO as a label map; use it instead of ``LoadAnnotations``.

    A pixel (R, G, B) belongs to the segment with the id R + 256 G + 256² B and gets that segment's class; this includes
    crowds. Pixels of no listed segment (id 0 in COCO) are ignored (255).

    Required Keys: seg_map_path, and segments (pairs of a segment's id and its class), as
    :class:`~mmseg_kd.datasets.CocoPanopticSemDataset` provides them. Added Keys: gt_seg_map, (H, W), uint8.

    Args:
        backend_args: Arguments of MMEngine's file backend, as in ``LoadAnnotations``.

    Raises:
        ValueError: If a listed segment has no pixels, because the PNG then does not belong to the JSON.

    Example:
        >>> _ = mmcv.imwrite(np.array([[[0, 0, 7], [0, 1, 0]]], np.uint8), 'panoptic.png')  # BGR: ids 7 and 256
        >>> results = dict(seg_map_path='panoptic.png', segments=[(7, 3)])
        >>> LoadPanopticSemAnnotations().transform(results)['gt_seg_map'].tolist()
        [[3, 255]]
    """

    def __init__(self, backend_args: dict | None = None) -> None:
        self.backend_args = backend_args

    def transform(self, results: dict) -> dict:
        content = fileio.get(results['seg_map_path'], backend_args=self.backend_args)
        blue, green, red = mmcv.imfrombytes(content, flag='color').astype(np.uint32).transpose(2, 0, 1)
        ids = red + 256 * green + 65536 * blue
        labels = np.full(ids.shape, IGNORE_INDEX, np.uint8)
        for segment, label in results['segments']:
            pixels = ids == segment
            if not pixels.any():
                raise ValueError(
                    f'{results["seg_map_path"]} must hold the segments that its JSON lists, but has no pixel '
                    f'of segment {segment}; check that ann_file and data_prefix.seg_map_path belong together'
                )
            labels[pixels] = label
        results['gt_seg_map'] = labels
        results['seg_fields'] = [*results.get('seg_fields', []), 'gt_seg_map']
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(backend_args={self.backend_args})'
