import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadVoidAnnotations(BaseTransform):
    """Add a label map of ignored pixels to an image without labels.

    Use it instead of ``LoadAnnotations``, after the image is loaded, to train on unlabeled images beside labeled ones:
    the student's own losses ignore every pixel, and terms without labels learn from the teacher. Labels of the image,
    if there are any, are not read. ``SemiSupervisedDataset`` needs :class:`LoadBlankAnnotations` instead.

    Args:
        ignore_index: Label of ignored pixels, as in the student's losses: a whole number from 0 to 255.

    Raises:
        ValueError: If an image of labels cannot hold ``ignore_index``.

    Example:
        >>> LoadVoidAnnotations().transform(dict(img=np.ones((2, 3, 3))))['gt_seg_map'].tolist()
        [[255, 255, 255], [255, 255, 255]]
    """

    def __init__(self, ignore_index: int = 255) -> None:
        if not 0 <= ignore_index <= np.iinfo(np.uint8).max:
            raise ValueError(
                f'LoadVoidAnnotations: ignore_index must be from 0 to 255, but is {ignore_index}: images of labels '
                "have 8 bits. Change the student's decode_head.ignore_index, and the labels of its images"
            )
        self.ignore_index = ignore_index

    def transform(self, results: dict) -> dict:
        results['gt_seg_map'] = np.full(results['img'].shape[:2], self.ignore_index, np.uint8)
        results['seg_fields'] = [*results.get('seg_fields', []), 'gt_seg_map']
        return results
