"""Labels of an MCKD run, and their quality."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from mmengine.dist import is_main_process
from PIL import Image

from ...constants import IGNORE_INDEX
from ...datasets.image_list import ImageList
from ...datasets.reading import read_labels
from ...distillers.labels import unify_ignored
from ...labeling import Labeler, class_shares, judge, read_summary, write_labels

TEACHER_LABELS = 'labels/teacher'


class MCKDLabels:
    """Folders of labels in the work directory of a run, and the quality of the labels.

    Args:
        folder: work directory of the run.
        images: folder of the images.
        threshold: probability below which a pixel is ignored.
        top_k: number of classes whose probabilities are written too.
        truth: config of a data set with the true labels of the images; None if they are unknown.
    """

    def __init__(self, folder: Path, images: str, threshold: float, top_k: int, truth: dict | None) -> None:
        self.folder, self.images, self.has_truth = folder, images, truth is not None
        self._threshold, self._top_k, self._truth = threshold, top_k, truth

    def path(self, name: str) -> Path:
        """The folder of some labels."""
        return self.folder / name

    def names(self) -> list[str]:
        """The ids of all images that the teacher has labeled, sorted."""
        return sorted(read_summary(str(self.path(TEACHER_LABELS)))['images'])

    def write(
        self, name: str, labeler: Labeler, files: Sequence[str], source: dict, report: Callable[[int, int], None]
    ) -> dict[str, float]:
        """Label images. All processes call this.

        Args:
            name: name of the labels, a path below the work directory.
            labeler: network that labels.
            files: paths of the images in their folder.
            source: description of the network, written beside the labels.
            report: function that is called with the number of finished images and of all images.

        Returns:
            dict: statistics of the labels; empty in all processes except the first.
        """
        summary = write_labels(
            labeler,
            files,
            self.images,
            str(self.path(name)),
            labeler.classes,
            labeler.palette,
            self._threshold,
            self._top_k,
            source=source,
            report=report,
        )
        if not is_main_process():
            return {}
        shares = class_shares(summary)
        return dict(
            images=len(files), void=shares['void'], confidence=shares['confidence'], **self._quality(name, summary)
        )

    def true_labels(self, files: dict[str, str]) -> Iterator[tuple[str, np.ndarray]]:
        """Id and true label map of each image.

        Args:
            files: paths in the folder of images, by id.

        Raises:
            ValueError: if an image is missing in the data set of true labels.
        """
        truth = ImageList(self._truth or {}, 'train_cfg.truth')
        places = {Path(path).resolve(): index for index, path in enumerate(truth.paths())}
        paths = {key: (Path(self.images) / file).resolve() for key, file in files.items()}
        unknown = [path for path in paths.values() if path not in places]
        if unknown:
            raise ValueError(
                f'train_cfg.truth must have all images of {self.images}, as the same files, but lacks {unknown[0]}; '
                'use one folder for both, and select images with ids of the PseudoLabelDataset'
            )
        for key, path in paths.items():
            dataset, index = truth.locate(places[path])
            labels = read_labels(dataset, index, 'train_cfg.truth').labels
            yield key, unify_ignored(labels, getattr(dataset, 'ignore_index', IGNORE_INDEX))

    def _quality(self, name: str, summary: dict) -> dict[str, float]:
        """Quality of labels by the true ones, and by the teacher's."""
        facts: dict[str, float] = {}
        if self.has_truth:
            files = {key: image['image'] for key, image in summary['images'].items()}
            pairs = ((self._read(name, key), truth) for key, truth in self.true_labels(files))
            quality = judge(pairs, summary['classes'])
            facts.update(miou=quality.miou, fscore=quality.fscore, accuracy=quality.accuracy)
        if name != TEACHER_LABELS:
            pairs = ((self._read(name, key), self._read(TEACHER_LABELS, key)) for key in summary['images'])
            facts['miou_to_teacher'] = judge(pairs, summary['classes']).miou
        return facts

    def _read(self, name: str, key: str) -> np.ndarray:
        return np.asarray(Image.open(self.path(name) / f'{key}.png'))
