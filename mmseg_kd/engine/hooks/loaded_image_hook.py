import os.path as osp
from collections.abc import Sequence

from mmengine.runner import Runner
from mmseg.engine.hooks import SegVisualizationHook
from mmseg.registry import HOOKS
from mmseg.structures import SegDataSample
from torch.utils.data import DataLoader

from ...datasets.reading import Pictures


@HOOKS.register_module()
class LoadedImageHook(SegVisualizationHook):
    """Paint predictions over the images as the pipeline loads them.

    MMSegmentation's hook reads every file again with OpenCV. It cannot show images of custom loaders (16 bits, many
    channels, arrays), and it rotates images by their EXIF tag even if the pipeline does not. The arguments are those of
    :class:`mmseg.engine.hooks.SegVisualizationHook`.
    """

    _pictures: tuple[DataLoader, Pictures] | None = None

    def after_val_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict, outputs: Sequence[SegDataSample]
    ) -> None:
        step = runner.iter + batch_idx
        if self.draw and step % self.interval == 0:
            self._paint(runner, runner.val_dataloader, 'val', outputs[0], step)

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict, outputs: Sequence[SegDataSample]
    ) -> None:
        for sample in outputs if self.draw else ():
            self._test_index += 1
            self._paint(runner, runner.test_dataloader, 'test', sample, self._test_index)

    def _paint(self, runner: Runner, loader: DataLoader, kind: str, sample: SegDataSample, step: int) -> None:
        if self._pictures is None or self._pictures[0] is not loader:
            self._pictures = loader, Pictures(loader.dataset, runner.model)
        self._visualizer.add_datasample(
            f'{kind}_{osp.basename(sample.img_path)}',
            self._pictures[1](sample.img_path),
            data_sample=sample,
            show=self.show,
            wait_time=self.wait_time,
            step=step,
        )
