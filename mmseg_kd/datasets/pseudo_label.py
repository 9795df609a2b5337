from collections.abc import Sequence
from pathlib import Path

from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS

from ..labeling import read_summary
from .partitions import read_ids

LEAST_SHARE = 1e-3  # of an image's pixels; less of a class is noise more often than an object


@DATASETS.register_module()
class PseudoLabelDataset(BaseSegDataset):
    """Images with the labels that a network gave them (``tools/pseudo_label.py``).

    Classes and palette are those of the labels. Wrapped in MMEngine's ``ClassBalancedDataset``, images of rare classes
    are
    repeated: a class counts as present where it has at least a thousandth of the pixels.

    Args:
        images: folder of the images, as they were labeled.
        labels: folder of the labels; or several, of which each image is in one.
        ids: list file of the images to take, one a line: the path below ``images``, without suffix. None: all.
        pipeline: transforms, beginning with ``LoadImageFromFile`` and ``LoadAnnotations``; for soft labels,
            :class:`LoadSoftLabels` follows, and :class:`PackSoftSegInputs` takes the place of ``PackSegInputs``.
        backend_args: as in :class:`mmseg.datasets.BaseSegDataset`.
        lazy_init: likewise; the classes are known without the list of the images.

    Raises:
        ValueError: if the labels are not complete, an id has none, or no image is left.
    """

    def __init__(
        self,
        images: str,
        labels: str | Sequence[str],
        ids: str | None = None,
        pipeline: Sequence[dict] = (),
        backend_args: dict | None = None,
        lazy_init: bool = False,
    ) -> None:
        folders = [labels] if isinstance(labels, str) else list(labels)
        self._summaries = {folder: read_summary(folder) for folder in folders}
        self._ids = None if ids is None else read_ids(ids)
        first = self._summaries[folders[0]]
        for folder, summary in self._summaries.items():
            if summary['classes'] != first['classes']:
                raise ValueError(
                    f'PseudoLabelDataset: labels must have the same classes, but those of {folder} differ from '
                    f'those of {folders[0]}'
                )
        metainfo = dict(classes=tuple(first['classes']))
        if first['palette'] is not None:
            metainfo['palette'] = first['palette']
        super().__init__(
            data_prefix=dict(img_path=images),
            metainfo=metainfo,
            pipeline=list(pipeline),
            backend_args=backend_args,
            lazy_init=lazy_init,
        )

    def load_data_list(self) -> list[dict]:
        known = {}
        for folder, summary in self._summaries.items():
            twice = known.keys() & summary['images'].keys()
            if twice:
                raise ValueError(
                    f'PseudoLabelDataset: {len(twice)} images have a label in {folder} and in another folder, '
                    f'such as {min(twice)}; give each image one label'
                )
            known.update({name: (folder, image) for name, image in summary['images'].items()})
        unreadable = {name for summary in self._summaries.values() for name in summary['unreadable']}
        wanted = [name for name in (known if self._ids is None else self._ids) if name not in unreadable]
        missing = [name for name in wanted if name not in known]
        if missing:
            raise ValueError(
                f'PseudoLabelDataset: {len(missing)} of {len(wanted)} ids have no label in '
                f'{", ".join(self._summaries)}, such as {missing[0]}; an id there is such as '
                f'{next(iter(known), "none")}'
            )
        if not wanted:
            raise ValueError(f'PseudoLabelDataset: no image is left; there are {len(known)} labels')
        return [self._entry(name, *known[name]) for name in wanted]

    def _entry(self, name: str, folder: str, image: dict) -> dict:
        return dict(
            img_path=str(Path(self.data_prefix['img_path']) / image['image']),
            seg_map_path=str(Path(folder) / f'{name}.png'),
            soft_label_path=str(Path(folder) / f'{name}.npz') if self._summaries[folder]['top_k'] else None,
            label_map=self.label_map,
            reduce_zero_label=False,
            seg_fields=[],
            present=[number for number, share in enumerate(image['share']) if share >= LEAST_SHARE],
        )

    def get_cat_ids(self, idx: int) -> list[int]:
        """The classes of an image, as ``ClassBalancedDataset`` asks for them."""
        return self.get_data_info(idx)['present']
