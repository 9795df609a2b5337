from .camvid import CamVidDataset
from .digit_scenes import DigitScenesDataset, write_digit_scenes

__all__ = ['CamVidDataset', 'DigitScenesDataset', 'write_digit_scenes']
