import mmcv
import mmengine.fileio as fileio
import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS

VOID = 255


@TRANSFORMS.register_module()
class LoadPanopticSemAnnotations(BaseTransform):
    """Read a panoptic PNG of COCO as a label map, in place of ``LoadAnnotations``.

    A pixel (R, G, B) belongs to the segment with the id R + 256 G + 256² B, and has the class of that segment; crowds
    have theirs like all others. What belongs to no listed segment (id 0 in COCO) is void, 255.

    Needs ``seg_map_path`` and ``segments``, pairs of a segment's id and its class, as
    :class:`~mmseg_kd.datasets.CocoPanopticSemDataset` gives them; adds ``gt_seg_map``, (H, W) in bytes.

    Args:
        backend_args: of the file backend, as in ``LoadAnnotations``.

    Raises:
        ValueError: if a listed segment has no pixel, which says that PNG and JSON do not belong together.
    """

    def __init__(self, backend_args: dict | None = None) -> None:
        self.backend_args = backend_args

    def transform(self, results: dict) -> dict:
        content = fileio.get(results['seg_map_path'], backend_args=self.backend_args)
        blue, green, red = mmcv.imfrombytes(content, flag='color').astype(np.uint32).transpose(2, 0, 1)
        ids = red + 256 * green + 65536 * blue
        labels = np.full(ids.shape, VOID, np.uint8)
        for segment, label in results['segments']:
            pixels = ids == segment
            if not pixels.any():
                raise ValueError(
                    f'{results["seg_map_path"]} must hold the segments that its JSON lists, but has no pixel '
                    f'of segment {segment}; check that ann_file and data_prefix.seg_map_path fit together'
                )
            labels[pixels] = label
        results['gt_seg_map'] = labels
        results['seg_fields'] = [*results.get('seg_fields', []), 'gt_seg_map']
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(backend_args={self.backend_args})'
