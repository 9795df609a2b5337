from collections.abc import Sequence
from pathlib import Path

from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS

from ..labeling import read_summary
from .partitions import read_ids

LEAST_SHARE = 1e-3  # of an image's pixels; a smaller share of a class is more often noise than an object


@DATASETS.register_module()
class PseudoLabelDataset(BaseSegDataset):
    """Images with the pseudo-labels of a network (``tools/pseudo_label.py``).

    Classes and palette are those of the labels. MMEngine's ``ClassBalancedDataset`` around this data set repeats the
    images of rare classes. A class counts as present in an image if it has at least a thousandth of its pixels.

    Args:
        images: Folder of the images that were labeled.
        labels: Folder of the labels, or several folders that each hold the labels of other images.
        ids: List file of the images to use, with one id per line: the path relative to ``images``, without suffix.
            None for all images.
        pipeline: Transforms, beginning with ``LoadImageFromFile`` and ``LoadAnnotations``. Soft labels also need
            :class:`LoadSoftLabels` next, and :class:`PackSoftSegInputs` instead of ``PackSegInputs``.
        backend_args: Arguments of MMEngine's file backend.
        lazy_init: Whether to read the list of images only when it is needed; classes are available before.

    Raises:
        ValueError: If the labels are incomplete, an id has no label, or no image is left.

    Example:
        >>> import torch
        >>> from mmseg_kd.labeling import write_labels
        >>> probabilities = torch.tensor([[[0.9, 0.4]], [[0.1, 0.6]]])
        >>> _ = write_labels(lambda path: probabilities, ['1.jpg', '2.jpg'], 'images', 'labels', ['road', 'car'])
        >>> dataset = PseudoLabelDataset('images', 'labels')
        >>> len(dataset), dataset.metainfo['classes'], dataset.get_cat_ids(0)
        (2, ('road', 'car'), [0, 1])
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
        known: dict[str, tuple[str, dict]] = {}
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
                f'PseudoLabelDataset: {len(missing)} of {len(wanted)} ids have no labels in '
                f'{", ".join(self._summaries)}, such as {missing[0]}; the labeled ids look like '
                f'{next(iter(known), "none")}'
            )
        if not wanted:
            raise ValueError(
                f'PseudoLabelDataset: no image is left of {len(known)} labeled ones; check the list of ids'
            )
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
        """The classes that are present in an image; ``ClassBalancedDataset`` calls this."""
        return self.get_data_info(idx)['present']
