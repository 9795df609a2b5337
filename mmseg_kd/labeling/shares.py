"""How the classes fare in labels: the imbalance that students inherit."""

from typing import Any

import numpy as np

from ..io.tables import markdown_table

RARE = 0.01  # of the pixels


def class_shares(summary: dict[str, Any]) -> dict[str, Any]:
    """How the classes fare over all images.

    Args:
        summary: of :func:`~mmseg_kd.labeling.write_labels`.

    Returns:
        dict: ``share`` of the pixels and ``images`` that hold it, for every class (arrays); ``void`` share and mean
        ``confidence``, over all pixels.
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
    """The same as a table, the rarest class first, and what follows for training.

    Args:
        summary: of :func:`~mmseg_kd.labeling.write_labels`.
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
        f'{len(summary["images"])} images; {100 * facts["void"]:.1f} % of the pixels are void, mean confidence '
        f'{facts["confidence"]:.3f}.'
    ]
    if summary['unreadable']:
        told.append(f'{len(summary["unreadable"])} images could not be read and have no label.')
    if absent:
        told.append(f'{absent} of {len(classes)} classes never occur: no student learns them from these labels.')
    if rare:
        told.append(
            f'{rare} classes have less than {100 * RARE:.0f} % of the pixels; wrap the PseudoLabelDataset in '
            "dict(type='ClassBalancedDataset', oversample_thr=...) to repeat the images that hold them."
        )
    return '\n'.join([markdown_table(rows), '', *told])
