"""Unlabeled images beside the labeled ones of a training."""

import os
from typing import Any

from mmseg.registry import DATASETS

from ..constants import IGNORE_INDEX
from ..datasets import UnlabeledFolderDataset
from ..io.data_sets import innermost_config
from ..io.errors import ConfigError

METAINFO = ('classes', 'palette', 'label_map', 'reduce_zero_label')  # of any data set of MMSegmentation


def with_unlabeled(dataset: dict[str, Any], folder: str, ignore_index: int = IGNORE_INDEX) -> dict[str, Any]:
    """The config of a data set that joins a training set with unlabeled images.

    The unlabeled images get the augmentation of the labeled ones and labels that are ignored everywhere. Where they are
    more, the labeled ones are repeated, so that about half of every batch has labels.

    Args:
        dataset: Config of the labeled training set, with its pipeline. Wrappers may repeat, join or balance it.
        folder: Folder of unlabeled images; subfolders are searched too.
        ignore_index: The label that the student's losses ignore.

    Raises:
        ConfigError: If the folder has no images, or the training set has no pipeline from ``LoadAnnotations`` to
            ``PackSegInputs``, as in data sets that mix images.
    """
    types = [_name(step) for step in innermost_config(dataset).get('pipeline') or ()]
    missing = [name for name in ('LoadAnnotations', 'PackSegInputs') if name not in types]
    if missing:
        raise ConfigError(
            'train_dataloader.dataset must have a pipeline with LoadAnnotations and PackSegInputs for --unlabeled, '
            f'but has no {" and no ".join(missing)}; take a data set that does not mix images, or leave the option out'
        )
    void = dict(type='LoadVoidAnnotations')
    if ignore_index != IGNORE_INDEX:
        void.update(ignore_index=ignore_index)
    pipeline = [void if _name(step) == 'LoadAnnotations' else step for step in innermost_config(dataset)['pipeline']]
    try:
        unlabeled = UnlabeledFolderDataset(folder)
    except ValueError as error:
        raise ConfigError(f'--unlabeled: {error}') from error
    labeled = DATASETS.build(dataset)
    times = max(1, round(len(unlabeled) / len(labeled)))
    return dict(
        type='ConcatDataset',
        ignore_keys=sorted({*METAINFO, *labeled.metainfo}),  # unlabeled images have no classes
        datasets=[
            dict(type='RepeatDataset', times=times, dataset=dataset),
            dict(type='UnlabeledFolderDataset', folder=os.path.abspath(folder), pipeline=pipeline),
        ],
    )


def _name(step: dict[str, Any]) -> str:
    """The name of a transform; in MMEngine's new style, ``type`` is the class itself."""
    return getattr(step['type'], '__name__', step['type'])
