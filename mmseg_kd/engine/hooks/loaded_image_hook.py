import os.path as osp
from typing import Sequence

import mmcv
import numpy as np
from mmengine.runner import Runner
from mmseg.engine.hooks import SegVisualizationHook
from mmseg.registry import HOOKS
from mmseg.structures import SegDataSample
from torch.utils.data import DataLoader, Dataset

from ...datasets.image_list import listed_images
from ...datasets.reading import read_picture


@HOOKS.register_module()
class LoadedImageHook(SegVisualizationHook):
    """Paint predictions over the images as the pipeline loads them.

    MMSegmentation's hook reads every file a second time, with OpenCV, which shows nothing of what a transform of the user
    loads (16 bits, many channels, arrays), and turns images that the pipeline does not turn. The arguments are those of
    :class:`mmseg.engine.hooks.SegVisualizationHook`.
    """

    _known: tuple[DataLoader, dict[str, tuple[Dataset, int]]] | None = None

    def after_val_iter(self, runner: Runner, batch_idx: int, data_batch: dict, outputs: Sequence[SegDataSample]) -> None:
        step = runner.iter + batch_idx
        if self.draw and step % self.interval == 0:
            self._paint(runner, runner.val_dataloader, 'val', outputs[0], step)

    def after_test_iter(self, runner: Runner, batch_idx: int, data_batch: dict, outputs: Sequence[SegDataSample]) -> None:
        for sample in outputs if self.draw else ():
            self._test_index += 1
            self._paint(runner, runner.test_dataloader, 'test', sample, self._test_index)

    def _paint(self, runner: Runner, loader: DataLoader, kind: str, sample: SegDataSample, step: int) -> None:
        self._visualizer.add_datasample(
            f'{kind}_{osp.basename(sample.img_path)}', self._image(runner, loader, sample.img_path), data_sample=sample,
            show=self.show, wait_time=self.wait_time, step=step)

    def _image(self, runner: Runner, loader: DataLoader, path: str) -> np.ndarray:
        if self._known is None or self._known[0] is not loader:
            self._known = loader, {leaf.get_data_info(index).get('img_path'): (leaf, index)
                                   for leaf, index in listed_images(loader.dataset)}
        if path not in self._known[1]:  # of a data set that does not say what it lists
            return mmcv.imread(path, channel_order='rgb', backend_args=self.backend_args)
        leaf, index = self._known[1][path]
        network = runner.model
        while hasattr(network, 'module'):  # of DDP, and of test-time augmentation
            network = network.module
        preprocessor = getattr(getattr(network, 'student', network), 'data_preprocessor', None)
        return read_picture(leaf.pipeline.transforms, leaf.get_data_info(index),
                            bool(getattr(preprocessor, 'channel_conversion', False)))
