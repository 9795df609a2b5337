"""Checks that images have one role: trained on or validated, with labels or without."""

from typing import Any

from torch.utils.data import DataLoader

from ..datasets import LoadUnknownAnnotations, LoadVoidAnnotations
from ..datasets.image_list import listed_images
from ..io.files import equal_files
from .diagnosis import Reporter

WITHOUT_LABELS = (LoadUnknownAnnotations, LoadVoidAnnotations)


def check_overlap(report: Reporter, train: DataLoader, val: DataLoader) -> None:
    """Check that no image is both trained on and validated, and none trained on both with and without labels.

    Copies under other names count, too.

    Args:
        report: receiver of findings.
        train: data loader of the training data.
        val: data loader of the validation data.
    """
    labeled, unlabeled = _images(train.dataset)
    validated, _ = _images(val.dataset)
    shared = equal_files(validated, [*labeled, *unlabeled])
    if shared:
        report.warning(
            f'{len(shared)} of {len(validated)} validation images are trained on as well, {_example(shared)}: the '
            'validation would flatter the student; remove them from train_dataloader.dataset or from its folder of '
            'unlabeled images'
        )
    twice = equal_files(unlabeled, labeled)
    if twice:
        report.warning(
            f'{len(twice)} of {len(unlabeled)} images without labels are labeled images as well, {_example(twice)}; '
            'remove them from the images without labels'
        )
    if report.clean:
        report.ok('no image is both trained on and validated' + (', or with and without labels' if unlabeled else ''))


def _images(dataset: Any) -> tuple[list[str], list[str]]:
    """Paths of the images with labels, and of those without."""
    paths: tuple[dict[str, None], dict[str, None]] = ({}, {})
    for leaf, index in listed_images(dataset):
        steps = getattr(getattr(leaf, 'pipeline', None), 'transforms', ())
        path = leaf.get_data_info(index).get('img_path')
        if path:
            paths[any(isinstance(step, WITHOUT_LABELS) for step in steps)][str(path)] = None
    more = dataset.unlabeled_paths() if hasattr(dataset, 'unlabeled_paths') else []
    return list(paths[False]), [*paths[True], *map(str, more)]


def _example(equal: dict[str, str]) -> str:
    path, other = next(iter(equal.items()))
    return f'such as {path}' + (f', which equals {other}' if path != other else '')
