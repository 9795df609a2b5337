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
    """Unlabeled images of a folder and its subfolders, in the order of their paths.

    Args:
        folder: Path of the folder, which :func:`~mmseg_kd.io.files.find_files` searches.
        suffixes: Suffixes of the images, in upper or lower case.
        pipeline: Transforms; not used within :class:`SemiSupervisedDataset`, which has its own.
        backend_args: Arguments of MMEngine's file backend.

    Raises:
        ValueError: If ``folder`` is not a folder, or holds no such images.

    Example:
        >>> Path('images/city').mkdir(parents=True)
        >>> for name in ('city/2.png', '1.jpg', 'notes.txt'):
        ...     Path('images', name).touch()
        >>> [item['img_path'] for item in UnlabeledFolderDataset('images').load_data_list()]
        ['images/1.jpg', 'images/city/2.png']
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
        """The names of the images on a remote file backend, which only MMEngine can list."""
        names = fileio.list_dir_or_file(folder, list_dir=False, recursive=True, backend_args=self.backend_args)
        return sorted(name for name in names if name.lower().endswith(self._suffixes))
