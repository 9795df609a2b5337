from collections.abc import Sequence

import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS

VOID = 255


@TRANSFORMS.register_module()
class LoadSoftLabels(BaseTransform):
    """Read the soft labels of an image: its labeler's best classes and their probabilities, at every few pixels.

    It stands right behind ``LoadAnnotations``. Transforms do not move the probabilities themselves, which they would
    mix between classes, nor several maps of them, which takes time: they move one map, ``soft_cells``, that says which
    of the stored cells each pixel reads, as any label map by the nearest neighbor. :class:`PackSoftSegInputs` looks
    the rest up for what is left of the image. Transforms that join several images (``RandomMosaic``) cannot be used.

    An image of a data set that knows no soft labels has true ones: each pixel is its class with certainty.

    Required Keys: gt_seg_map, and soft_label_path where a network gave the labels. Added Keys: soft_labels, with
    classes (K, P) and shares (K + 1, P), the last for all other classes together; soft_cells (H, W), in seg_fields.

    Raises:
        ValueError: if the labels were written without soft ones, or the file is of an image of another size.
    """

    def transform(self, results: dict) -> dict:
        labels = results['gt_seg_map']
        if 'soft_label_path' in results:
            results['soft_labels'], stride = self._read(
                results['soft_label_path'], results['seg_map_path'], labels.shape
            )
        else:
            classes = np.where(labels == VOID, 0, labels).reshape(1, -1)
            shares = np.repeat(np.array([[1], [0]], np.float16), labels.size, axis=1)
            results['soft_labels'], stride = dict(classes=classes.astype(np.uint8), shares=shares), 1
        rows, columns = (_cells(side, stride) for side in labels.shape)
        results['soft_cells'] = rows[:, None] * (columns[-1] + 1) + columns
        results['seg_fields'] = [*results.get('seg_fields', []), 'soft_cells']
        return results

    @staticmethod
    def _read(path: str | None, seg_map_path: str, size: Sequence[int]) -> tuple[dict[str, np.ndarray], int]:
        if path is None:
            raise ValueError(
                f'{seg_map_path} must have soft labels beside it, but was written without; label again with '
                'top_k (train_cfg.top_k of MCKDLoop, --top-k of tools/pseudo_label.py), or leave '
                'LoadSoftLabels out'
            )
        with np.load(path) as stored:
            classes, shares, rest, stride = (stored[key] for key in ('classes', 'shares', 'rest', 'stride'))
        expected = tuple(int(_cells(side, stride)[-1]) + 1 for side in size)
        if classes.shape[1:] != expected:
            raise ValueError(
                f'{path} must hold {expected[0]}x{expected[1]} cells for a label map of {size[0]}x{size[1]}, '
                f'but holds {classes.shape[1]}x{classes.shape[2]}; it is of another image'
            )
        return dict(
            classes=classes.reshape(len(classes), -1),
            shares=np.concatenate([shares, rest[None]]).reshape(len(shares) + 1, -1),
        ), int(stride)


def _cells(side: int, stride: int) -> np.ndarray:
    """For each pixel of a side, the nearest cell. Cells have their centers at stride // 2, stride // 2 + stride, ..."""
    count = len(range(stride // 2, side, stride))
    return np.minimum(np.arange(side) // stride, count - 1).astype(np.int32)
