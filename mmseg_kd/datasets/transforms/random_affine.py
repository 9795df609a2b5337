from collections.abc import Sequence

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from mmseg.registry import TRANSFORMS

Range = float | Sequence[float]


@TRANSFORMS.register_module()
class RandomAffine(BaseTransform):
    """Rotate, shear, scale and translate the image and its label maps, with one resampling.

    A pixel x moves to c + t + s R H (x - c), with the image center c, the translation t, the scale s, the rotation R
    and the shear H along the x axis. All are sampled uniformly for every image. The image size does not change. Images
    are interpolated bilinearly, label maps by the nearest pixel.

    Required Keys: img, seg_fields and the maps that it names. Modified Keys: img and these maps.

    Args:
        degrees: Range (min, max) of the clockwise rotation in degrees, or one number for both directions.
        translate: Maximal translation in both directions, as a fraction of width and height.
        scale: Range (min, max) of the scale factor; factors above 1 enlarge.
        shear: Range (min, max) of the shear in degrees, or one number for both directions.
        pad_val: Value of image pixels outside of the original image, one number or one per channel.
        seg_pad_val: Value of label maps outside of the original image; 255 for ignored pixels.

    Raises:
        ValueError: If a range is reversed, a scale is not positive, or a shear reaches 90 degrees.

    Example:
        >>> results = dict(img=np.ones((2, 2, 3), np.uint8), gt_seg_map=np.ones((2, 2), np.uint8))
        >>> results = RandomAffine(scale=(0.5, 0.5)).transform(dict(results, seg_fields=['gt_seg_map']))
        >>> results['img'].shape, results['gt_seg_map'].shape
        ((2, 2, 3), (2, 2))
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
                'RandomAffine: ranges must be (min, max), scale > 0 and shear within 90 degrees, but '
                f'degrees is {degrees}, translate {translate}, scale {scale} and shear {shear}'
            )

    def transform(self, results: dict) -> dict:
        """Sample a transform, and apply it to the image and all label maps."""
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
            np.random.uniform(low, high)
            for low, high in (self.degrees, self.translate, self.translate, self.scale, self.shear)
        )

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(degrees={self.degrees}, translate={self.translate[1]}, scale={self.scale}, '
            f'shear={self.shear}, pad_val={self.pad_val}, seg_pad_val={self.seg_pad_val})'
        )


def _both_directions(value: Range) -> tuple[float, float]:
    low, high = (-value, value) if isinstance(value, (int, float)) else value
    return low, high
