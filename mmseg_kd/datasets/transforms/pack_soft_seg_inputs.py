from collections.abc import Sequence

import numpy as np
import torch
from mmengine.structures import PixelData
from mmseg.datasets.transforms import PackSegInputs
from mmseg.registry import TRANSFORMS


@TRANSFORMS.register_module()
class PackSoftSegInputs(PackSegInputs):
    """``PackSegInputs`` that packs the soft labels too, as ``soft_labels`` of the data sample.

    They are ``classes`` (K, h, w), uint8, and ``shares`` (K + 1, h, w), float16, the last for all other classes
    together, at every ``stride``-th pixel of the image as it is now, from the middle of the first ``stride`` on: no
    more memory than the image itself.

    Args:
        stride: in pixels; that of the student's logits is enough.
        meta_keys: as in ``PackSegInputs``; None for its own.

    Raises:
        ValueError: if :class:`LoadSoftLabels` did not run before, or a transform between did not move ``soft_cells``.
    """

    def __init__(self, stride: int = 4, meta_keys: Sequence[str] | None = None) -> None:
        super().__init__(**({} if meta_keys is None else dict(meta_keys=meta_keys)))
        self.stride = stride

    def transform(self, results: dict) -> dict:
        if 'soft_labels' not in results:
            raise ValueError(
                "PackSoftSegInputs needs soft labels, but none were loaded; add dict(type='LoadSoftLabels') "
                'behind LoadAnnotations'
            )
        packed, cells = super().transform(results), results['soft_cells']
        if cells.shape != results['img'].shape[:2]:
            sizes = ['x'.join(map(str, x.shape[:2])) for x in (results['img'], cells)]
            raise ValueError(
                "PackSoftSegInputs needs soft labels that moved with the image (MMCV's Pad moves gt_seg_map "
                f'alone), but has an image of {sizes[0]} and soft_cells of {sizes[1]}; take the transform '
                'out that does not move all seg_fields: data_preprocessor.size pads'
            )
        cells = cells[self.stride // 2 :: self.stride, self.stride // 2 :: self.stride]
        # What transforms turned in from outside names no cell; it has no label either.
        cells = np.minimum(cells, results['soft_labels']['classes'].shape[1] - 1)
        packed['data_samples'].soft_labels = PixelData(
            metainfo=dict(stride=self.stride),
            **{name: torch.from_numpy(values[:, cells]) for name, values in results['soft_labels'].items()},
        )
        return packed
