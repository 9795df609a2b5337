import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS

from ...constants import UNKNOWN_INDEX


@TRANSFORMS.register_module()
class LoadUnknownAnnotations(BaseTransform):
    """Add a label map to an image without labels; the teacher of a ``LabelingDistiller`` fills it.

    Use it instead of ``LoadAnnotations``, after the image is loaded. All labels are 254. Transforms and the data
    preprocessor pad the map with the label of ignored pixels, so the padding stays ignored. Labels of the image, if
    there are any, are not read. With other models, 254 is a label outside of the classes: they need
    :class:`LoadVoidAnnotations`.

    Example:
        >>> LoadUnknownAnnotations().transform(dict(img=np.ones((2, 3, 3))))['gt_seg_map'].tolist()
        [[254, 254, 254], [254, 254, 254]]
    """

    def transform(self, results: dict) -> dict:
        results['gt_seg_map'] = np.full(results['img'].shape[:2], UNKNOWN_INDEX, np.uint8)
        results['seg_fields'] = [*results.get('seg_fields', []), 'gt_seg_map']
        return results
