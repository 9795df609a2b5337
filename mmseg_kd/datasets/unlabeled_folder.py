import os.path as osp
from collections.abc import Sequence
from pathlib import Path

import mmengine.fileio as fileio
from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS

from ..io.files import find_files
from ..labeling import SUFFIXES


@DATASETS.register_module()
class UnlabeledFolderDataset(BaseSegDataset):
    """Images of a folder and of the folders in it, in the order of their paths, without labels.

    Args:
        folder: path of the folder; see :func:`~mmseg_kd.io.files.find_files` for what is found in it.
        suffixes: of the images, in whatever case.
        pipeline: transforms; :class:`SemiSupervisedDataset` brings its own.
        backend_args: as in :class:`mmseg.datasets.BaseSegDataset`.

    Raises:
        ValueError: if ``folder`` is no folder, or holds no such image.
    """

    def __init__(
        self,
        folder: str,
        suffixes: Sequence[str] = SUFFIXES,
        pipeline: Sequence[dict] = (),
        backend_args: dict | None = None,
    ) -> None:
        self._suffixes = tuple(suffix.lower() for suffix in suffixes)
        super().__init__(data_prefix=dict(img_path=folder), pipeline=list(pipeline), backend_args=backend_args)

    def load_data_list(self) -> list[dict]:
        folder = self.data_prefix['img_path']
        if self.backend_args is None and not Path(folder).is_dir():
            raise ValueError(f'UnlabeledFolderDataset: folder must be a folder of images, but there is no {folder}')
        names = find_files(folder, self._suffixes) if self.backend_args is None else self._remote_names(folder)
        if not names:
            raise ValueError(
                f'UnlabeledFolderDataset: {folder} must hold images ({", ".join(self._suffixes)}), but holds none'
            )
        return [
            dict(img_path=osp.join(folder, name), reduce_zero_label=False, label_map=self.label_map, seg_fields=[])
            for name in names
        ]

    def _remote_names(self, folder: str) -> list[str]:
        """The same of a file backend, which only MMEngine can list."""
        names = fileio.list_dir_or_file(folder, list_dir=False, recursive=True, backend_args=self.backend_args)
        return sorted(name for name in names if name.lower().endswith(self._suffixes))
