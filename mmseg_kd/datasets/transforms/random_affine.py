from collections.abc import Sequence

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from mmseg.registry import TRANSFORMS

Range = float | Sequence[float]


@TRANSFORMS.register_module()
class RandomAffine(BaseTransform):
    """Turn, shear, scale and move the image and its label maps together, in one resampling.

    A pixel x goes to c + t + s R H (x - c), with c the middle of the image, t the translation, s the scale, R the
    rotation and H the shear along the x axis; all are drawn uniformly, anew for every image. The size stays. Images are
    interpolated bilinearly, label maps take the nearest pixel.

    Required Keys: img, seg_fields and the maps that it names. Modified Keys: the same.

    Args:
        degrees: of the rotation, clockwise: a range (least, most), or a number for both directions.
        translate: the most, as a share of width and height, in both directions.
        scale: range of the factor; above 1 enlarges.
        shear: in degrees: a range, or a number for both directions.
        pad_val: what the image has outside of what was photographed, one number or one for each channel.
        seg_pad_val: what label maps have there; 255 is void.

    Raises:
        ValueError: if a range is upside down, a scale is not positive, or a shear reaches 90 degrees.
    """

    def __init__(
        self,
        degrees: Range = 0.0,
        translate: float = 0.0,
        scale: Sequence[float] = (1.0, 1.0),
        shear: Range = 0.0,
        pad_val: Range = 0,
        seg_pad_val: int = 255,
    ) -> None:
        self.degrees, self.shear = _both_directions(degrees), _both_directions(shear)
        self.translate, self.scale = _both_directions(translate), tuple(scale)
        self.pad_val, self.seg_pad_val = pad_val, seg_pad_val
        ordered = all(low <= high for low, high in (self.degrees, self.translate, self.scale, self.shear))
        if not ordered or self.scale[0] <= 0 or max(map(abs, self.shear)) >= 90:
            raise ValueError(
                'RandomAffine: ranges must be (least, most), scale > 0 and shear within 90 degrees, but '
                f'degrees is {degrees}, translate {translate}, scale {scale} and shear {shear}'
            )

    def transform(self, results: dict) -> dict:
        """Draw a motion, and move all maps by it."""
        height, width = results['img'].shape[:2]
        matrix = self._matrix(height, width)
        color = (self.pad_val,) * 4 if isinstance(self.pad_val, (int, float)) else tuple(self.pad_val)
        results['img'] = cv2.warpAffine(
            results['img'], matrix, (width, height), flags=cv2.INTER_LINEAR, borderValue=color
        )
        for key in results.get('seg_fields', []):
            results[key] = cv2.warpAffine(
                results[key], matrix, (width, height), flags=cv2.INTER_NEAREST, borderValue=self.seg_pad_val
            )
        return results

    def _matrix(self, height: int, width: int) -> np.ndarray:
        degrees, x, y, scale, shear = self._draw()
        angle, slope = np.deg2rad(degrees), np.tan(np.deg2rad(shear))
        rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        linear = scale * rotation @ np.array([[1, slope], [0, 1]])
        middle = np.array([width - 1, height - 1]) / 2
        return np.column_stack([linear, middle + (x * width, y * height) - linear @ middle])

    @cache_randomness
    def _draw(self) -> tuple[float, ...]:
        return tuple(
            np.random.uniform(*limits)
            for limits in (self.degrees, self.translate, self.translate, self.scale, self.shear)
        )

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(degrees={self.degrees}, translate={self.translate[1]}, scale={self.scale}, '
            f'shear={self.shear}, pad_val={self.pad_val}, seg_pad_val={self.seg_pad_val})'
        )


def _both_directions(value: Range) -> tuple[float, float]:
    return (-value, value) if isinstance(value, (int, float)) else tuple(value)
