from collections.abc import Sequence

import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS

from ...constants import IGNORE_INDEX


@TRANSFORMS.register_module()
class LoadSoftLabels(BaseTransform):
    """Read the soft labels of an image: the most probable classes and their probabilities, on a grid of cells.

    Use it directly after ``LoadAnnotations``. Transforms do not move the probabilities themselves: interpolation would
    mix classes, and moving many maps would take time. Instead they move one map, ``soft_cells``, like a label map. It
    holds the index of each pixel's cell. :class:`PackSoftSegInputs` then looks up the probabilities of the remaining
    pixels. Transforms that join several images (``RandomMosaic``) are not supported.

    Images with ground truth instead of soft labels get one-hot soft labels: probability 1 for each pixel's class.

    Required Keys: gt_seg_map, and soft_label_path if a network labeled the image. Added Keys: soft_labels with classes
    (K, P) and shares (K + 1, P), whose last entry is the probability of all other classes; soft_cells (H, W), which is
    added to seg_fields.

    Raises:
        ValueError: If the labels were written without soft labels, or the file belongs to an image of another size.

    Example:
        >>> results = LoadSoftLabels().transform(dict(gt_seg_map=np.array([[3, 1]], np.uint8)))
        >>> results['soft_labels']['classes'].tolist(), results['soft_cells'].tolist()
        ([[3, 1]], [[0, 1]])
    """

    def transform(self, results: dict) -> dict:
        labels = results['gt_seg_map']
        if 'soft_label_path' in results:
            results['soft_labels'], stride = self._read(
                results['soft_label_path'], results['seg_map_path'], labels.shape
            )
        else:
            classes = np.where(labels == IGNORE_INDEX, 0, labels).reshape(1, -1)
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
                f'{seg_map_path} needs soft labels, but was written without them; label the images again with '
                'top_k (train_cfg.top_k of MCKDLoop, --top-k of tools/pseudo_label.py), or remove '
                'LoadSoftLabels'
            )
        with np.load(path, allow_pickle=False) as stored:
            classes, shares, rest, stride = (stored[key] for key in ('classes', 'shares', 'rest', 'stride'))
        expected = tuple(int(_cells(side, stride)[-1]) + 1 for side in size)
        if classes.shape[1:] != expected:
            raise ValueError(
                f'{path} must hold {expected[0]}x{expected[1]} cells for a label map of {size[0]}x{size[1]}, '
                f'but holds {classes.shape[1]}x{classes.shape[2]}; it belongs to another image'
            )
        return dict(
            classes=classes.reshape(len(classes), -1),
            shares=np.concatenate([shares, rest[None]]).reshape(len(shares) + 1, -1),
        ), int(stride)


def _cells(side: int, stride: int) -> np.ndarray:
    """The nearest cell of each pixel along one side. Cell centers are stride // 2, stride // 2 + stride, ..."""
    count = len(range(stride // 2, side, stride))
    return np.minimum(np.arange(side) // stride, count - 1).astype(np.int32)
