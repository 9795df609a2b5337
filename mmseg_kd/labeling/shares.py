"""Class imbalance of labels, which students inherit."""

from typing import Any

import numpy as np

from ..io.tables import markdown_table

RARE = 0.01  # of the pixels


def class_shares(summary: dict[str, Any]) -> dict[str, Any]:
    """Frequency of the classes over all labeled images.

    Args:
        summary: Summary that :func:`~mmseg_kd.labeling.write_labels` returns.

    Returns:
        dict: arrays with each class's ``share`` of the pixels and number of ``images``; the share of ignored pixels
        (``void``) and the mean ``confidence`` over all pixels.

    Example:
        >>> images = dict(a=dict(size=[2, 2], share=[0.75, 0.0], void=0.25, confidence=0.8))
        >>> class_shares(dict(classes=['road', 'car'], images=images))['share'].tolist()
        [0.75, 0.0]
    """
    images = summary['images'].values()
    pixels = np.array([np.prod(image['size']) for image in images], dtype=np.float64)
    shares = np.array([image['share'] for image in images], dtype=np.float64).reshape(-1, len(summary['classes']))
    weights = pixels / pixels.sum()
    return dict(
        share=weights @ shares,
        images=(shares > 0).sum(0),
        void=float(weights @ [image['void'] for image in images]),
        confidence=float(weights @ [image['confidence'] for image in images]),
    )


def shares_report(summary: dict[str, Any]) -> str:
    """The class frequencies as a table, the rarest class first, with advice for training.

    Args:
        summary: Summary that :func:`~mmseg_kd.labeling.write_labels` returns.

    Example:
        >>> images = dict(a=dict(size=[2, 2], share=[0.75, 0.0], void=0.25, confidence=0.8))
        >>> print(shares_report(dict(classes=['road', 'car'], images=images, unreadable={})))
        | class | pixels, % | images |
        | ----- | --------: | -----: |
        | car   |     0.000 |      0 |
        | road  |    75.000 |      1 |
        <BLANKLINE>
        1 images; 25.0 % of the pixels are ignored, mean confidence 0.800.
        1 of 2 classes never occur: students cannot learn them from these labels.
    """
    facts, classes = class_shares(summary), summary['classes']
    rows = [('class', 'pixels, %', 'images')]
    rows += [
        (classes[number], f'{100 * facts["share"][number]:.3f}', str(int(facts['images'][number])))
        for number in np.argsort(facts['share'], kind='stable')
    ]
    absent = int((facts['images'] == 0).sum())
    rare = int(((facts['share'] < RARE) & (facts['images'] > 0)).sum())
    told = [
        f'{len(summary["images"])} images; {100 * facts["void"]:.1f} % of the pixels are ignored, mean confidence '
        f'{facts["confidence"]:.3f}.'
    ]
    if summary['unreadable']:
        told.append(f'{len(summary["unreadable"])} images could not be read and have no labels.')
    if absent:
        told.append(f'{absent} of {len(classes)} classes never occur: students cannot learn them from these labels.')
    if rare:
        told.append(
            f'{rare} classes have less than {100 * RARE:.0f} % of the pixels; wrap the PseudoLabelDataset in '
            "dict(type='ClassBalancedDataset', oversample_thr=...) to repeat the images that hold them."
        )
    return '\n'.join([markdown_table(rows), '', *told])
