"""A plot of a teacher's entropy by temperature, and its reliability diagram."""

from pathlib import Path

import numpy as np

from ..evaluation.output_statistics import CALIBRATION_BINS, OutputStatistics

DRAWN_BINS = 50


def draw_teacher(name: str, statistics: OutputStatistics, path: str | Path) -> None:
    """Write a PNG with the share of pixels by entropy for every temperature, and the reliability diagram.

    Args:
        name: Name of the teacher, for the title.
        statistics: Statistics of the teacher's output.
        path: Path of the PNG in an existing folder.

    Raises:
        ImportError: if matplotlib is not installed.
    """
    try:
        from matplotlib import colormaps
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError('plots need matplotlib: pip install "mmseg-kd[report]"') from error
    figure = Figure(figsize=(11, 4.4), dpi=120, layout='constrained')
    # A separate canvas, so that neither the user's backend nor open figures are touched.
    canvas = FigureCanvasAgg(figure)
    figure.suptitle(f'{name}: {statistics.images} images, mIoU {100 * statistics.miou:.1f} %')
    left, right = figure.subplots(1, 2, width_ratios=(1.7, 1))
    count = len(statistics.temperatures)
    colors = colormaps['viridis'](np.linspace(0, 0.9, count))
    edges = np.linspace(0, 1, DRAWN_BINS + 1)
    for temperature, shares, median, color in zip(
        statistics.temperatures, statistics.shares(DRAWN_BINS), statistics.median_entropy(), colors
    ):
        left.stairs(100 * shares, edges, color=color, linewidth=1.6, label=f'T = {temperature:g}, median {median:.2f}')
        left.axvline(median, color=color, linewidth=0.8, linestyle=':')
    # Log scale: one temperature may have nearly all pixels in one bin, next to which other bars would be invisible.
    left.set_yscale('log')
    left.set(
        xlim=(0, 1),
        ylim=(1e-2, 100),
        xlabel='entropy of the softened output / log C',
        ylabel=f'share of pixels in a bin of {1 / DRAWN_BINS:g}, % (log scale)',
    )
    left.secondary_xaxis(
        'top', functions=(lambda x: x * statistics.max_entropy, lambda x: x / statistics.max_entropy)
    ).set_xlabel('nats')
    left.legend(framealpha=1, edgecolor='none', fontsize=9)

    bins = [entry for entry in statistics.reliability() if entry[2]]
    width = 1 / CALIBRATION_BINS
    shares = [pixels / statistics.pixels for _, _, pixels, _, _ in bins]
    right.bar(
        [low for low, *_ in bins],
        [accuracy for *_, accuracy, _ in bins],
        width,
        align='edge',
        edgecolor='white',
        color='#4c72b0',
        label='accuracy',
    )
    right.plot([0, 1], [0, 1], color='black', linewidth=1, linestyle='--', label='calibrated')
    right.plot(
        [(low + high) / 2 for low, high, *_ in bins],
        shares,
        color='#dd8452',
        marker='o',
        markersize=3,
        linewidth=1.2,
        label='share of pixels',
    )
    right.set(
        xlim=(0, 1),
        ylim=(0, 1),
        xlabel='confidence',
        ylabel='accuracy; share of pixels',
        title=f'ECE {100 * statistics.ece:.2f} %',
    )
    right.legend(frameon=False, fontsize=9, loc='upper left')
    canvas.print_png(str(path))
