from pathlib import Path
from typing import List, Optional, Sequence

from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS

from ..labelling import SUFFIXES


@DATASETS.register_module()
class UnlabeledFolderDataset(BaseSegDataset):
    """Images of a folder and of the folders in it, in the order of their paths, without labels.

    Args:
        folder: path; hidden files are passed over.
        suffixes: of the images, in lower or upper case.
        pipeline: transforms; :class:`SemiSupervisedDataset` brings its own.
        backend_args: as in :class:`mmseg.datasets.BaseSegDataset`.

    Raises:
        ValueError: if ``folder`` is no folder, or holds no such image.
    """

    def __init__(self,
                 folder: str,
                 suffixes: Sequence[str] = SUFFIXES,
                 pipeline: Sequence[dict] = (),
                 backend_args: Optional[dict] = None) -> None:
        super().__init__(
            data_prefix=dict(img_path=folder),
            img_suffix=tuple(case for suffix in suffixes for case in (suffix.lower(), suffix.upper())),
            pipeline=list(pipeline),
            backend_args=backend_args)

    def load_data_list(self) -> List[dict]:
        folder = self.data_prefix['img_path']
        if self.backend_args is None and not Path(folder).is_dir():
            raise ValueError(f'UnlabeledFolderDataset: folder must be a folder of images, but there is no {folder}')
        found = super().load_data_list()
        if not found:
            raise ValueError(f'UnlabeledFolderDataset: {folder} must hold images ({", ".join(self.img_suffix[::2])}), '
                             'but holds none')
        return found
