import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadBlankAnnotations(BaseTransform):
    """Give an image without labels a label map of zeros, to know later which pixels are image and which padding.

    It stands where ``LoadAnnotations`` stands for a labeled image, after the image is loaded. Transforms and the data
    preprocessor carry the map along and pad it with 255 (their ``seg_pad_val``), so that the packed ``gt_sem_seg`` is 0
    where there is image and 255 where there is none. Whatever labels the image may have are not read.

    Leave ``cat_max_ratio`` of ``RandomCrop`` out behind it: a map of one class would only be cropped ten times in vain.
    """

    def transform(self, results: dict) -> dict:
        results['gt_seg_map'] = np.zeros(results['img'].shape[:2], np.uint8)
        results['seg_fields'] = [*results.get('seg_fields', []), 'gt_seg_map']
        return results
