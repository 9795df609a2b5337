"""Scenes composed of the handwritten digits in scikit-learn, which need no download."""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS
from PIL import Image

STAMP = 'digit_scenes.json'
RECIPE = 1  # version of the scenes; raised when the same arguments give other scenes
TRAIN_SHARE = 0.6
SCENES_AT_ONCE = 64


@DATASETS.register_module()
class DigitScenesDataset(BaseSegDataset):
    """Scenes of overlapping handwritten digits among clutter, written by :func:`write_digit_scenes`.

    Images are ``img_dir/{train,val}/*.png`` (set ``img_suffix='.png'``). Labels are ``ann_dir/{train,val}/*.png`` with
    one byte per pixel: 0 for background and 1..10 for the digits 0..9. No pixel is ignored. The arguments are those of
    :class:`mmseg.datasets.BaseSegDataset`.

    Example:
        >>> DigitScenesDataset.METAINFO['classes'][:2]
        ('background', 'zero')
    """

    METAINFO = dict(
        classes=('background', 'zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine'),
        palette=[
            [40, 40, 40],
            [230, 25, 75],
            [60, 180, 75],
            [255, 225, 25],
            [0, 130, 200],
            [245, 130, 48],
            [145, 30, 180],
            [70, 240, 240],
            [240, 50, 230],
            [170, 255, 95],
            [170, 110, 40],
        ],
    )


def write_digit_scenes(
    root: str | Path,
    seed: int = 0,
    num_train: int = 3000,
    num_val: int = 200,
    size: int = 64,
    report: Callable[[int, int], None] | None = None,
) -> bool:
    """Compose scenes and write them to a folder that :class:`DigitScenesDataset` reads.

    The folder gets its name only when it is complete, so an interrupted call leaves no partial data. A complete folder
    that was written with the same arguments is kept; other or damaged scenes are replaced. Training and validation
    scenes use different samples of the digits.

    Args:
        root: Folder of the scenes; its parents are created.
        seed: Seed of the scenes.
        num_train: Number of training scenes.
        num_val: Number of validation scenes.
        size: Height and width of a scene in pixels.
        report: Function that is called after every scene with the number of scenes written so far, and in total.

    Returns:
        bool: True if the scenes were written, False if they existed already.

    Raises:
        ImportError: If scikit-learn is not installed.
        ValueError: If a number is too small, or if ``root`` is a file or holds other files.

    Example:
        >>> write_digit_scenes('scenes', num_train=2, num_val=1, size=32)
        True
        >>> write_digit_scenes('scenes', num_train=2, num_val=1, size=32)
        False
    """
    root = Path(root)
    if num_train < 1 or num_val < 1 or size < 32:
        raise ValueError(
            'digit scenes need num_train >= 1, num_val >= 1 and size >= 32, but num_train is '
            f'{num_train}, num_val is {num_val} and size is {size}'
        )
    asked = dict(recipe=RECIPE, seed=seed, num_train=num_train, num_val=num_val, size=size)
    if _read_stamp(root) == dict(asked, sha256=_digest(root)):
        return False
    foreign = sorted(path.name for path in root.glob('*') if path.name not in ('img_dir', 'ann_dir', STAMP))
    if foreign or root.is_file():
        raise ValueError(
            f'{root} must be a new folder or a tree of digit scenes, but it '
            f'{"holds " + foreign[0] if foreign else "is a file"}; choose another folder'
        )

    glyphs, classes = load_digit_samples()
    splits = split_samples(len(glyphs), seed)
    partial, old = (root.with_name(f'.{root.name}.{state}') for state in ('partial', 'old'))
    shutil.rmtree(partial, ignore_errors=True)
    done, total = 0, num_train + num_val
    for stream, (split, count) in enumerate(dict(train=num_train, val=num_val).items()):
        folders = [partial / kind / split for kind in ('img_dir', 'ann_dir')]
        for folder in folders:
            folder.mkdir(parents=True)
        rng = np.random.default_rng([seed, stream])
        samples = splits[split]
        for index, scene in enumerate(compose_scenes(rng, glyphs[samples], classes[samples], count, size)):
            for folder, picture in zip(folders, scene):
                _save(picture, folder / f'{index:05d}.png')
            done += 1
            if report is not None:
                report(done, total)
    (partial / STAMP).write_text(json.dumps(dict(asked, sha256=_digest(partial))))

    shutil.rmtree(old, ignore_errors=True)
    if root.exists():
        root.rename(old)
    partial.rename(root)
    shutil.rmtree(old, ignore_errors=True)
    return True


def split_samples(count: int, seed: int) -> dict[str, np.ndarray]:
    """Disjoint indices of the digit samples for training scenes (60 %) and for validation scenes (40 %).

    Args:
        count: Number of digit samples.
        seed: Seed of the division.

    Example:
        >>> {name: len(indices) for name, indices in split_samples(10, seed=0).items()}
        {'train': 6, 'val': 4}
    """
    order = np.random.default_rng(seed).permutation(count)
    cut = round(TRAIN_SHARE * count)
    return dict(train=order[:cut], val=order[cut:])


def load_digit_samples() -> tuple[np.ndarray, np.ndarray]:
    """Scikit-learn's 1797 handwritten digits: gray values (M, 8, 8) in [0, 1], and the digits (M,) in 0..9.

    Raises:
        ImportError: If scikit-learn is not installed.

    Example:
        >>> glyphs, digits = load_digit_samples()
        >>> glyphs.shape, digits[:3].tolist()
        ((1797, 8, 8), [0, 1, 2])
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise ImportError('digit scenes need scikit-learn: pip install "mmseg-kd[demo]"') from error
    digits = load_digits()
    return (digits.images / 16).astype(np.float32), digits.target


def compose_scenes(
    rng: np.random.Generator, glyphs: np.ndarray, classes: np.ndarray, count: int, size: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Compose scenes of layers: digits, shapes mixed from digits, and strokes. Later layers hide earlier ones.

    Args:
        rng: Random generator.
        glyphs: Gray values (M, 8, 8) in [0, 1] of the digits to choose from.
        classes: Digits (M,) in 0..9 that the glyphs show.
        count: Number of scenes.
        size: Height and width of a scene in pixels.

    Yields:
        the image (size, size, 3) in RGB and the labels (size, size), 0 for background and 1 + digit; both uint8.

    Example:
        >>> scenes = compose_scenes(np.random.default_rng(0), *load_digit_samples(), count=2, size=32)
        >>> [(image.shape, labels.shape) for image, labels in scenes]
        [((32, 32, 3), (32, 32)), ((32, 32, 3), (32, 32))]
    """
    for start in range(0, count, SCENES_AT_ONCE):
        images, labels = _compose(rng, glyphs, classes, min(SCENES_AT_ONCE, count - start), size)
        yield from zip(images, labels)


def _compose(rng, glyphs, classes, n, size):
    layers, centers = _order_layers(rng, n)
    ground = rng.uniform(0.1, 0.45, (n, 1, 1, 1)) + rng.normal(0, 0.06, (n, 1, 1, 3))
    image = ground + _smooth_noise(rng, n, size, cells=3, scale=0.08) + _smooth_noise(rng, n, size, cells=9, scale=0.04)
    image = image.astype(np.float32)
    labels = np.zeros((n, size, size), np.uint8)
    for layer, kinds in enumerate(layers.T):
        for kind, (draw, _, _) in enumerate(LAYERS):
            rows = np.flatnonzero(kinds == kind)
            if not len(rows):
                continue
            cover, label = draw(rng, glyphs, classes, centers[rows, layer], size)
            labels[rows] = np.where(cover >= 0.5, label[:, None, None], labels[rows])
            # The edge is a ramp of one or two pixels around the threshold, as in a photograph.
            alpha = np.clip((cover - 0.5) * 3 + 0.5, 0, 1)[..., None]
            image[rows] += alpha * (_paint(rng, ground[rows], size) - image[rows])
    light = 1 + _smooth_noise(rng, n, size, cells=2, scale=0.15)
    noise = rng.standard_normal(image.shape, np.float32) * rng.uniform(0.02, 0.06, (n, 1, 1, 1))
    return (np.clip(image * light + noise, 0, 1) * 255).astype(np.uint8), labels


def _order_layers(rng, n):
    """Kinds and centers of the layers of n scenes.

    Kinds (n, layers) are indices into LAYERS, or -1 where a scene has fewer layers. Centers (n, layers, 2) in [-1, 1]
    are jittered quarters of the scene, so that layers overlap but seldom cover each other.
    """
    layers = np.full((n, sum(most for _, _, most in LAYERS)), -1)
    centers = np.empty((*layers.shape, 2))
    quarters = np.array([(-0.45, -0.45), (-0.45, 0.45), (0.45, -0.45), (0.45, 0.45)])
    for row, places in zip(layers, centers):
        kinds = np.repeat(np.arange(len(LAYERS)), [rng.integers(least, most + 1) for _, least, most in LAYERS])
        row[: len(kinds)] = rng.permutation(kinds)
        places[:] = np.resize(rng.permutation(quarters), places.shape)
    return layers, centers + rng.normal(0, 0.16, centers.shape)


def _draw_digits(rng, glyphs, classes, centers, size):
    chosen = rng.integers(len(glyphs), size=len(centers))
    return _place(rng, glyphs[chosen], centers, size), (1 + classes[chosen]).astype(np.uint8)


def _draw_mixtures(rng, glyphs, classes, centers, size):
    """Shapes that look like handwriting but are no digit: rotated quadrants of four digits."""
    n = len(centers)
    turned = np.stack([np.rot90(glyphs, quarters, axes=(1, 2)) for quarters in (1, 2, 3)])
    parts = turned[rng.integers(3, size=(4, n)), rng.integers(len(glyphs), size=(4, n))]
    second = np.arange(8) >= 4
    quadrant = second[:, None] * 2 + second
    shapes = np.take_along_axis(parts, np.broadcast_to(quadrant, (1, n, 8, 8)), axis=0)[0]
    return _place(rng, shapes, centers, size), np.zeros(n, np.uint8)


def _draw_strokes(rng, glyphs, classes, centers, size):
    """Curved strokes, 2 to 5 pixels wide: quadratic Bezier curves through the scene."""
    n = len(centers)
    a, b, c = rng.uniform(0, size, (3, n, 1, 2)).astype(np.float32)
    t = np.linspace(0, 1, 9, dtype=np.float32)[:, None]
    curve = (1 - t) ** 2 * a + 2 * t * (1 - t) * b + t**2 * c
    pixels = np.stack(np.meshgrid(np.arange(size), np.arange(size)), -1).astype(np.float32)
    nearest = np.full((n, size, size), np.inf, np.float32)
    for start, end in zip(curve.swapaxes(0, 1)[:-1], curve.swapaxes(0, 1)[1:]):
        # Distance of every pixel to one chord of the curve. Eight chords look smooth.
        start, chord = start[:, None, None], (end - start)[:, None, None]
        along = ((pixels - start) * chord).sum(-1) / np.maximum((chord**2).sum(-1), 1e-6)
        offset = pixels - start - np.clip(along, 0, 1)[..., None] * chord
        nearest = np.minimum(nearest, (offset**2).sum(-1))
    width = rng.uniform(1, 2.5, (n, 1, 1)).astype(np.float32)
    return np.clip((width - np.sqrt(nearest)) * 0.5 + 0.5, 0, 1), np.zeros(n, np.uint8)


# Kinds of layers: the function that paints one, and the smallest and largest number of them in a scene.
LAYERS = ((_draw_digits, 2, 4), (_draw_mixtures, 0, 1), (_draw_strokes, 0, 2))


def _paint(rng, ground, size):
    """Colors (n, size, size, 3) that are slightly or clearly brighter than the background."""
    n = len(ground)
    plain = ground + rng.uniform(0.2, 0.55, (n, 1, 1, 1)) + rng.normal(0, 0.12, (n, 1, 1, 3))
    return plain.astype(np.float32) + _smooth_noise(rng, n, size, cells=4, scale=0.05)


def _smooth_noise(rng, n, size, cells, scale):
    """Color noise (n, size, size, 3) whose blobs are about size / cells pixels wide."""
    coarse = torch.from_numpy(rng.standard_normal((n, 3, cells, cells), np.float32) * np.float32(scale))
    return F.interpolate(coarse, size=(size, size), mode='bilinear').permute(0, 2, 3, 1).numpy()


def _place(rng, shapes, centers, size):
    """Scale, rotate, shear and move shapes (n, 8, 8) on a canvas; returns their coverage of every pixel (n, S, S)."""
    n = len(shapes)
    # Sampled on a log axis, so that small digits are as common as large ones.
    half = np.exp(rng.uniform(np.log(0.32), np.log(0.6), n))
    turn, shear, stretch = rng.normal(0, 0.2, n), rng.normal(0, 0.15, n), np.exp(rng.normal(0, 0.12, n))
    forward = np.empty((n, 2, 2))
    forward[:, 0, 0], forward[:, 0, 1] = np.cos(turn) * stretch, -np.sin(turn) + shear
    forward[:, 1, 0], forward[:, 1, 1] = np.sin(turn), np.cos(turn) / stretch
    # Two empty pixels around the glyph keep its outer strokes inside the enlarged picture.
    inverse = np.linalg.inv(forward * half[:, None, None]) * (8 / 12)
    theta = torch.from_numpy(np.concatenate([inverse, -inverse @ centers[:, :, None]], axis=2)).float()
    glyph = F.pad(torch.from_numpy(np.ascontiguousarray(shapes))[:, None], (2, 2, 2, 2))
    grid = F.affine_grid(theta, (n, 1, size, size), align_corners=False)
    return F.grid_sample(glyph, grid, mode='bicubic', align_corners=False)[:, 0].numpy()


def _save(picture, path):
    image = Image.fromarray(picture)
    if picture.ndim == 2:
        image.putpalette(np.asarray(DigitScenesDataset.METAINFO['palette'], np.uint8).tobytes())
    image.save(path, compress_level=1)


def _digest(root):
    digest = hashlib.sha256()
    for path in sorted(root.glob('*_dir/*/*')):
        content = path.read_bytes()
        digest.update(f'{path.relative_to(root).as_posix()} {len(content)} '.encode())
        digest.update(content)
    return digest.hexdigest()


def _read_stamp(root) -> dict | None:
    try:
        return json.loads((root / STAMP).read_text())
    except (OSError, ValueError):
        return None
