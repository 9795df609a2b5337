"""Scenes composed of the handwritten digits that scikit-learn ships: real handwriting, no download."""

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
RECIPE = 1  # counts the changes of what is drawn from the same arguments
TRAIN_SHARE = 0.6
SCENES_AT_ONCE = 64


@DATASETS.register_module()
class DigitScenesDataset(BaseSegDataset):
    """Scenes of overlapping handwritten digits among clutter, written by :func:`write_digit_scenes`.

    Images are ``img_dir/{train,val}/*.png`` (set ``img_suffix='.png'``), labels ``ann_dir/{train,val}/*.png``: one byte
    a pixel, 0 = background, 1..10 = the digits 0..9, and no void. The arguments are those of
    :class:`mmseg.datasets.BaseSegDataset`.
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
    """Compose scenes and write them as a tree that :class:`DigitScenesDataset` reads.

    The tree is written beside its place and then moved there, so that a killed run leaves no half-written tree. A tree
    of the same arguments whose files are all intact is kept; one that differs or is damaged is replaced. The digits of
    the training scenes and those of the validation scenes are different samples.

    Args:
        root: the folder of the tree; its parents are created.
        seed: of everything that is drawn.
        num_train: training scenes.
        num_val: validation scenes.
        size: height and width of a scene in pixels.
        report: is called after every scene with the number of scenes that are written, and of all.

    Returns:
        bool: whether the tree was written (False: it was there already).

    Raises:
        ImportError: if scikit-learn is not installed.
        ValueError: if a number is too small, or ``root`` is or holds anything else than such a tree.
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
    """Indices of the digit samples, out of ``count``, for training (60 %) and for validation scenes; disjoint."""
    order = np.random.default_rng(seed).permutation(count)
    cut = round(TRAIN_SHARE * count)
    return dict(train=order[:cut], val=order[cut:])


def load_digit_samples() -> tuple[np.ndarray, np.ndarray]:
    """Scikit-learn's 1797 handwritten digits: gray values (M, 8, 8) in [0, 1], and what they show (M,) in 0..9.

    Raises:
        ImportError: if scikit-learn is not installed.
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
    """Draw scenes: layers of digits, of shapes mixed from digits, and of strokes; a later layer hides an earlier one.

    Args:
        rng: source of everything that is drawn.
        glyphs: gray values (M, 8, 8) in [0, 1] of the digits to choose from.
        classes: what they show, (M,) in 0..9.
        count: scenes.
        size: height and width in pixels.

    Yields:
        the image (size, size, 3), RGB, and the labels (size, size), 0 = background, 1 + the digit; both uint8.
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
            # Near the threshold the edge is a ramp one or two pixels wide, as a lens would draw it.
            alpha = np.clip((cover - 0.5) * 3 + 0.5, 0, 1)[..., None]
            image[rows] += alpha * (_paint(rng, ground[rows], size) - image[rows])
    light = 1 + _smooth_noise(rng, n, size, cells=2, scale=0.15)
    noise = rng.standard_normal(image.shape, np.float32) * rng.uniform(0.02, 0.06, (n, 1, 1, 1))
    return (np.clip(image * light + noise, 0, 1) * 255).astype(np.uint8), labels


def _order_layers(rng, n):
    """What the layers of n scenes are and where their centers are.

    Kinds (n, layers) are indices into LAYERS, or -1 where a scene has no more layers. Centers (n, layers, 2) are in
    [-1, 1]: jittered quarters of the scene, so that layers overlap but seldom cover each other.
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
    """Shapes that look like handwriting but are no digit: quadrants of four digits, each turned."""
    n = len(centers)
    turned = np.stack([np.rot90(glyphs, quarters, axes=(1, 2)) for quarters in (1, 2, 3)])
    parts = turned[rng.integers(3, size=(4, n)), rng.integers(len(glyphs), size=(4, n))]
    second = np.arange(8) >= 4
    quadrant = second[:, None] * 2 + second
    shapes = np.take_along_axis(parts, np.broadcast_to(quadrant, (1, n, 8, 8)), axis=0)[0]
    return _place(rng, shapes, centers, size), np.zeros(n, np.uint8)


def _draw_strokes(rng, glyphs, classes, centers, size):
    """Bent strokes, 2 to 5 pixels wide: quadratic Bezier curves through the scene."""
    n = len(centers)
    a, b, c = rng.uniform(0, size, (3, n, 1, 2)).astype(np.float32)
    t = np.linspace(0, 1, 9, dtype=np.float32)[:, None]
    curve = (1 - t) ** 2 * a + 2 * t * (1 - t) * b + t**2 * c
    pixels = np.stack(np.meshgrid(np.arange(size), np.arange(size)), -1).astype(np.float32)
    nearest = np.full((n, size, size), np.inf, np.float32)
    for start, end in zip(curve.swapaxes(0, 1)[:-1], curve.swapaxes(0, 1)[1:]):
        # The distance of every pixel to one chord; eight chords are smooth enough.
        start, chord = start[:, None, None], (end - start)[:, None, None]
        along = ((pixels - start) * chord).sum(-1) / np.maximum((chord**2).sum(-1), 1e-6)
        offset = pixels - start - np.clip(along, 0, 1)[..., None] * chord
        nearest = np.minimum(nearest, (offset**2).sum(-1))
    width = rng.uniform(1, 2.5, (n, 1, 1)).astype(np.float32)
    return np.clip((width - np.sqrt(nearest)) * 0.5 + 0.5, 0, 1), np.zeros(n, np.uint8)


# What a scene is made of: how it is drawn, and the least and greatest number of it in a scene.
LAYERS = ((_draw_digits, 2, 4), (_draw_mixtures, 0, 1), (_draw_strokes, 0, 2))


def _paint(rng, ground, size):
    """Colors (n, size, size, 3), brighter than the ground by little or by much."""
    n = len(ground)
    plain = ground + rng.uniform(0.2, 0.55, (n, 1, 1, 1)) + rng.normal(0, 0.12, (n, 1, 1, 3))
    return plain.astype(np.float32) + _smooth_noise(rng, n, size, cells=4, scale=0.05)


def _smooth_noise(rng, n, size, cells, scale):
    """Color noise (n, size, size, 3) whose blobs are about size / cells pixels wide."""
    coarse = torch.from_numpy(rng.standard_normal((n, 3, cells, cells), np.float32) * np.float32(scale))
    return F.interpolate(coarse, size=(size, size), mode='bilinear').permute(0, 2, 3, 1).numpy()


def _place(rng, shapes, centers, size):
    """Enlarge, turn, shear and move shapes (n, 8, 8) into a canvas: how much of every pixel they cover, (n, S, S)."""
    n = len(shapes)
    # On a log axis, so that small digits are as common as large ones.
    half = np.exp(rng.uniform(np.log(0.32), np.log(0.6), n))
    turn, shear, stretch = rng.normal(0, 0.2, n), rng.normal(0, 0.15, n), np.exp(rng.normal(0, 0.12, n))
    forward = np.empty((n, 2, 2))
    forward[:, 0, 0], forward[:, 0, 1] = np.cos(turn) * stretch, -np.sin(turn) + shear
    forward[:, 1, 0], forward[:, 1, 1] = np.sin(turn), np.cos(turn) / stretch
    # Two empty pixels around the glyph let its outer strokes end inside the enlarged picture.
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
