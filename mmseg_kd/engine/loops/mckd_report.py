"""The report of an MCKD run: a table of its parts, and a picture of its labels."""

import copy
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dataset import Compose

from ...datasets.reading import read_picture
from ...io.configs import segmentor_config
from ...io.tables import markdown_table
from ...visualization.label_picture import draw_labels, spread_images
from .mckd_checks import label_data_set
from .mckd_halves import HALVES
from .mckd_labels import TEACHER_LABELS, MCKDLabels

COLUMNS = (
    ('images', 'images', '{:d}'),
    ('mIoU', 'miou', '{:.2f}'),
    ('mean F1', 'fscore', '{:.2f}'),
    ("mIoU with the teacher's", 'miou_to_teacher', '{:.2f}'),
    ('accuracy', 'accuracy', '{:.2f}'),
    ('ignored', 'void', '{:.1%}'),
    ('confidence', 'confidence', '{:.3f}'),
    ('agreement', 'agreement', '{:.2f}'),
)


def mckd_table(parts: dict[str, dict[str, Any]]) -> str:
    """Labels and trainings in their order, as a Markdown table.

    Args:
        parts: finished parts of a run, as :class:`~mmseg_kd.engine.loops.mckd_state.MCKDState` stores them.
    """
    used = [column for column in COLUMNS if any(column[1] in facts for facts in parts.values())]
    rows = [('', *(title for title, _, _ in used))]
    for name, facts in parts.items():
        if name != 'partition':
            rows.append((name, *(form.format(facts[key]) if key in facts else '' for _, key, form in used)))
    return markdown_table(rows) + '\n'


def draw_stages(labels: MCKDLabels, num_stages: int, config: Config, count: int = 4) -> None:
    """Write ``labels.png``: some images with their labels at every stage.

    Args:
        labels: labels of the run.
        num_stages: number of stages.
        config: config of the run, whose pipeline loads the images.
        count: number of images.
    """
    columns = {'teacher': [labels.path(TEACHER_LABELS)]}
    for stage in range(1, num_stages + 1):
        columns[f'stage {stage}'] = [labels.path(f'labels/stage_{stage}/{half}') for half in HALVES]
    files = spread_images(labels.path(TEACHER_LABELS), count)
    pipeline = label_data_set(config.train_dataloader.dataset).get('pipeline') or []
    transforms = Compose(copy.deepcopy(pipeline)).transforms
    swaps = bool((segmentor_config(config).get('data_preprocessor') or {}).get('bgr_to_rgb'))
    draw_labels(
        columns,
        {name: str(Path(labels.images) / file) for name, file in files.items()},
        lambda path: read_picture(transforms, dict(img_path=path), swaps),
        dict(labels.true_labels(files)) if labels.has_truth else {},
        labels.path('labels.png'),
    )
