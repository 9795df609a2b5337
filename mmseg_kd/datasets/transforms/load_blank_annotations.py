import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadBlankAnnotations(BaseTransform):
    """Add a label map of zeros to an unlabeled image, which later distinguishes the image from its padding.

    Use it instead of ``LoadAnnotations``, after the image is loaded. Transforms and the data preprocessor pad the map
    with 255 (their ``seg_pad_val``), so the packed ``gt_sem_seg`` is 0 for pixels of the image and 255 for padding.
    Labels of the image, if there are any, are not read.

    Do not set ``cat_max_ratio`` of a following ``RandomCrop``: with one class, it only repeats each crop ten times.

    Example:
        >>> LoadBlankAnnotations().transform(dict(img=np.ones((2, 3, 3))))['gt_seg_map'].tolist()
        [[0, 0, 0], [0, 0, 0]]
    """

    def transform(self, results: dict) -> dict:
        results['gt_seg_map'] = np.zeros(results['img'].shape[:2], np.uint8)
        results['seg_fields'] = [*results.get('seg_fields', []), 'gt_seg_map']
        return results
