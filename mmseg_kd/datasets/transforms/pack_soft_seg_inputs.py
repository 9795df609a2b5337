from collections.abc import Sequence

import numpy as np
import torch
from mmengine.structures import PixelData
from mmseg.datasets.transforms import PackSegInputs
from mmseg.registry import TRANSFORMS


@TRANSFORMS.register_module()
class PackSoftSegInputs(PackSegInputs):
    """``PackSegInputs`` that also packs soft labels, as ``soft_labels`` of the data sample.

    Soft labels are ``classes`` (K, h, w), uint8, and ``shares`` (K + 1, h, w), float16, whose last map is the
    probability of all other classes. They are given for every ``stride``-th pixel of the transformed image, starting at
    pixel ``stride // 2``, and need no more memory than the image.

    Args:
        stride: Distance in pixels between two soft labels; the stride of the student's logits is sufficient.
        meta_keys: Keys to pack as metainfo; None for the defaults of ``PackSegInputs``.

    Raises:
        ValueError: If :class:`LoadSoftLabels` did not run before, or if a later transform did not move ``soft_cells``.

    Example:
        >>> from mmseg_kd.datasets import LoadSoftLabels
        >>> image, labels = np.zeros((4, 4, 3), np.uint8), np.arange(16, dtype=np.uint8).reshape(4, 4)
        >>> results = LoadSoftLabels().transform(dict(img=image, gt_seg_map=labels))
        >>> packed = PackSoftSegInputs(stride=2, meta_keys=()).transform(results)
        >>> packed['data_samples'].soft_labels.classes.tolist()
        [[[5, 7], [13, 15]]]
    """

    def __init__(self, stride: int = 4, meta_keys: Sequence[str] | None = None) -> None:
        super().__init__(**({} if meta_keys is None else dict(meta_keys=meta_keys)))
        self.stride = stride

    def transform(self, results: dict) -> dict:
        if 'soft_labels' not in results:
            raise ValueError(
                "PackSoftSegInputs needs soft labels, but none were loaded; add dict(type='LoadSoftLabels') "
                'after LoadAnnotations'
            )
        packed, cells = super().transform(results), results['soft_cells']
        if cells.shape != results['img'].shape[:2]:
            sizes = ['x'.join(map(str, x.shape[:2])) for x in (results['img'], cells)]
            raise ValueError(
                "PackSoftSegInputs needs soft labels of the image's size (MMCV's Pad changes only gt_seg_map), "
                f'but has an image of {sizes[0]} and soft_cells of {sizes[1]}; remove the transform '
                'that does not change all seg_fields, and pad with data_preprocessor.size'
            )
        cells = cells[self.stride // 2 :: self.stride, self.stride // 2 :: self.stride]
        # Pixels that transforms added outside of the image have no cell and no label.
        cells = np.minimum(cells, results['soft_labels']['classes'].shape[1] - 1)
        packed['data_samples'].soft_labels = PixelData(
            metainfo=dict(stride=self.stride),
            **{name: torch.from_numpy(values[:, cells]) for name, values in results['soft_labels'].items()},
        )
        return packed
