"""Label maps in files that other tools can read. Interrupted work continues where it stopped."""

import io
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dist import barrier, broadcast_object_list, get_dist_info
from PIL import Image
from torch import Tensor

from ..constants import IGNORE_INDEX
from ..distillers.class_logits import decide
from ..io.files import find_files, remove_leftovers, walk, write_atomically
from ..io.listed_paths import check_listed_names

FORMAT = 1
SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp')
SUMMARY, SETTINGS, PARTS = 'labels.json', 'settings.json', 'parts'


def write_labels(
    label: Callable[[str], Tensor],
    images: Sequence[str],
    folder: str,
    out: str,
    classes: Sequence[str],
    palette: Sequence[Sequence[int]] | None = None,
    threshold: float = 0.0,
    top_k: int = 0,
    stride: int = 4,
    source: dict[str, Any] | None = None,
    skip_unreadable: bool = False,
    report: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Label images: write ``<out>/<image without suffix>.png`` for each, and ``<out>/labels.json`` with a summary.

    A label map holds the most probable class of each pixel, and 255 (ignored) where its probability is below
    ``threshold``. Files are written atomically, and existing label maps are kept, so an interrupted call can be
    repeated. With several processes, each labels every n-th image; all must call the function, and all return the same
    summary.

    Args:
        label: Function of an image's path that returns the probabilities (C, H, W), such as a :class:`Labeler`. If it
            has a ``foreground_threshold``, this threshold decides between two classes instead of the higher
            probability.
        images: Paths of the images relative to ``folder``.
        folder: Folder of the images.
        out: Folder for the labels.
        classes: Class names in the order of the probabilities; at most 255.
        palette: Red, green and blue of every class, stored in the PNG files.
        threshold: Probability in 0..1 below which a pixel is ignored.
        top_k: Number of classes in the soft labels, 0 for none. Soft labels are files ``<image>.npz`` with the ``K``
            most probable ``classes`` (K, h, w) as uint8, their probabilities ``shares`` (K, h, w), and the probability
            of all other classes ``rest`` (h, w), both as float16, at every ``stride``-th pixel.
        stride: Distance in pixels between two soft labels.
        source: Origin of the labels, such as config and checkpoint. One folder never holds labels of two origins.
        skip_unreadable: Whether to skip images that cannot be read, and to list them in the summary.
        report: Function that is called with the number of images done, and to do, by this process.

    Returns:
        dict: content of ``labels.json``: ``classes``, ``palette``, ``source``, ``unreadable``, and for every one of
        ``images`` its ``size`` (H, W), the ``share`` of its pixels by class, the share of its ignored pixels (``void``)
        and the mean ``confidence``.

    Raises:
        ValueError: If there are no images, two images would get the same file, an image cannot be read, ``out`` holds
            other labels, or there are too many classes.
        OSError: If a file cannot be written; no partial file remains.

    Example:
        >>> probabilities = torch.tensor([[[0.9, 0.4]], [[0.1, 0.6]]])
        >>> summary = write_labels(lambda path: probabilities, ['1.jpg'], 'images', 'labels', ['road', 'car'],
        ...                        threshold=0.7)
        >>> np.asarray(Image.open('labels/1.png')).tolist()
        [[0, 255]]
        >>> summary['images']['1']['share'], summary['images']['1']['void']
        ([0.5, 0.0], 0.5)
    """
    if not images:
        raise ValueError(f'{folder} holds no images to label')
    if not 0 <= threshold <= 1:
        raise ValueError(f'threshold must be a probability in 0..1, but is {threshold}')
    if len(classes) > IGNORE_INDEX:
        raise ValueError(f'a label map holds at most {IGNORE_INDEX} classes, but there are {len(classes)}')
    if top_k and not 0 < top_k <= len(classes):
        raise ValueError(f'top_k must be in 0..{len(classes)}, the number of classes, but is {top_k}')
    names = by_name(images)
    rank, processes = get_dist_info()
    root = Path(out)
    settings = dict(
        format=FORMAT, classes=list(classes), threshold=threshold, top_k=top_k, stride=stride, source=source or {}
    )
    if rank == 0:
        _claim(root, settings)
    barrier()
    _check_settings(root, settings)
    done = _done(root)
    # All processes must share the same list: the fast ones write labels while the slow ones still look.
    todo = [[name for name in sorted(names) if name not in done]]
    broadcast_object_list(todo)
    _label_share(
        label,
        [(name, names[name]) for name in todo[0][rank::processes]],
        folder,
        root,
        settings,
        palette,
        skip_unreadable,
        report,
    )
    barrier()
    summary = dict(settings, palette=[list(map(int, color)) for color in palette] if palette is not None else None)
    found = _done(root)
    summary['images'] = {name: found[name] for name in sorted(names) if 'unreadable' not in found[name]}
    summary['unreadable'] = {name: found[name]['unreadable'] for name in sorted(names) if 'unreadable' in found[name]}
    if rank == 0:
        write_atomically(root / SUMMARY, json.dumps(summary))
    barrier()
    return summary


def find_images(folder: str) -> list[str]:
    """The images in a folder and its subfolders, as :func:`~mmseg_kd.io.files.find_files` lists them.

    Args:
        folder: Folder of the images.

    Raises:
        ValueError: If the folder does not exist or holds no images.

    Example:
        >>> Path('images/city').mkdir(parents=True)
        >>> for name in ('city/2.png', '1.jpg', 'notes.txt'):
        ...     Path('images', name).touch()
        >>> find_images('images')
        ['1.jpg', 'city/2.png']
    """
    if not Path(folder).is_dir():
        raise ValueError(f'there is no folder {folder}')
    found = find_files(folder, SUFFIXES)
    if not found:
        raise ValueError(f'{folder} must hold images ({", ".join(SUFFIXES)}), but holds none')
    return found


def by_name(images: Sequence[str]) -> dict[str, str]:
    """Images by name, which is their path without suffix.

    Args:
        images: Paths of the images.

    Raises:
        ValueError: If two images have the same name.

    Example:
        >>> by_name(['city/1.jpg', 'city/2.png'])
        {'city/1': 'city/1.jpg', 'city/2': 'city/2.png'}
    """
    names = {os.path.splitext(image)[0]: image for image in images}
    if len(names) < len(images):
        twice = sorted(image for image in images if names[os.path.splitext(image)[0]] != image)
        raise ValueError(
            f'{len(twice)} images differ from others only in the suffix, such as {twice[0]}; rename them, '
            'because their labels would share one file'
        )
    return names


def images_of_ids(folder: str, ids: Sequence[str], key: str, source: str) -> dict[str, str]:
    """The listed images by id, which is their path relative to the folder, without suffix.

    Args:
        folder: Folder of the images, which :func:`find_images` searches.
        ids: Ids of the listed images.
        key: Name of the setting that names the list, for the error message.
        source: Name of the list file, for the error message.

    Raises:
        ValueError: If an id has no image, or if :func:`find_images` or :func:`by_name` fails.

    Example:
        >>> Path('images').mkdir()
        >>> Path('images/1.jpg').touch()
        >>> images_of_ids('images', ['1'], '--ids', 'val.txt')
        {'1': '1.jpg'}
    """
    files = by_name(find_images(folder))
    missing = [name for name in ids if name not in files]
    if missing:
        raise ValueError(
            f'{key}: {len(missing)} of {len(ids)} ids of {source} have no image in {folder}, such as {missing[0]}'
        )
    return {name: files[name] for name in ids}


def read_summary(folder: str) -> dict[str, Any]:
    """The summary that :func:`write_labels` wrote.

    Args:
        folder: Folder of the labels.

    Raises:
        ValueError: If there is no summary, or the labels are incomplete.

    Example:
        >>> Path('labels').mkdir()
        >>> read_summary('labels')
        Traceback (most recent call last):
        ...
        ValueError: labels must hold labels.json, as tools/pseudo_label.py writes it, but does not
    """
    path = Path(folder) / SUMMARY
    if not path.is_file():
        begun = (Path(folder) / SETTINGS).is_file()
        raise ValueError(
            f'{folder} must hold {SUMMARY}, as tools/pseudo_label.py writes it, but '
            f'{"its labeling was interrupted; run it again" if begun else "does not"}'
        )
    summary = json.loads(path.read_text())
    if summary.get('format') != FORMAT:
        raise ValueError(f'{path} must have format {FORMAT}, but has {summary.get("format")}; label the images again')
    check_listed_names((name for key, image in summary['images'].items() for name in (key, image['image'])), str(path))
    return summary


def _label_share(
    label: Callable[[str], Tensor],
    todo: list[Any],
    folder: str,
    root: Path,
    settings: dict[str, Any],
    palette: Any,
    skip_unreadable: bool,
    report: Callable[[int, int], None] | None,
) -> None:
    rank, processes = get_dist_info()
    parts = root / PARTS
    parts.mkdir(exist_ok=True)
    # The palette needs all 256 colors. With fewer, the PNG would use fewer bits and could not store 255.
    colors = None if palette is None else [*np.asarray(palette).flatten().tolist(), *[0] * (3 * (256 - len(palette)))]
    # Each image's line is written after its label map. An incomplete line means that the image is labeled again.
    with open(parts / f'{rank}_of_{processes}_{os.getpid()}.jsonl', 'a', encoding='utf-8') as record:
        for count, (name, image) in enumerate(todo, start=1):
            try:
                probabilities = label(os.path.join(folder, image))
            except ValueError as error:
                if not skip_unreadable:
                    raise
                entry: dict[str, Any] = dict(unreadable=str(error))
            else:
                decided = decide(probabilities, getattr(label, 'foreground_threshold', None))
                if not bool(torch.isfinite(decided[0]).all()):
                    raise FloatingPointError(
                        'the network predicts NaN or infinite probabilities for '
                        f'{os.path.join(folder, image)}; its weights are broken'
                    )
                entry = _write_one(probabilities, *decided, root / name, settings, colors)
                entry['image'] = image
            record.write(json.dumps({name: entry}) + '\n')
            record.flush()
            if report is not None:
                report(count, len(todo))


def _write_one(
    probabilities: Tensor,
    confidence: Tensor,
    labels: Tensor,
    path: Path,
    settings: dict[str, Any],
    colors: list[int] | None,
) -> dict[str, Any]:
    if len(probabilities) != len(settings['classes']):
        raise ValueError(f'the network predicts {len(probabilities)} classes, but {len(settings["classes"])} are named')
    labels = labels.to(torch.uint8)
    labels[confidence < settings['threshold']] = IGNORE_INDEX
    path.parent.mkdir(parents=True, exist_ok=True)
    if settings['top_k']:
        stride = settings['stride']
        sampled = probabilities[:, stride // 2 :: stride, stride // 2 :: stride]
        shares, classes = sampled.topk(settings['top_k'], dim=0)
        # Summed instead of 1 - shares: float16 would round away the small rest, which high temperatures amplify.
        rest = (sampled.double().sum(0) - shares.double().sum(0)).clamp_min(0)
        content = io.BytesIO()
        np.savez_compressed(
            content,
            classes=classes.to(torch.uint8).numpy(),
            shares=shares.half().numpy(),
            rest=rest.half().numpy(),
            stride=np.int64(stride),
        )
        write_atomically(path.with_name(path.name + '.npz'), content.getvalue())
    picture = Image.fromarray(labels.numpy())
    if colors is not None:
        picture.putpalette(colors)
    content = io.BytesIO()
    picture.save(content, format='PNG')
    write_atomically(path.with_name(path.name + '.png'), content.getvalue())
    counts = torch.bincount(labels.flatten().long(), minlength=IGNORE_INDEX + 1).double() / labels.numel()
    return dict(
        size=list(labels.shape),
        share=[round(float(share), 6) for share in counts[: len(settings['classes'])]],
        void=round(float(counts[IGNORE_INDEX]), 6),
        confidence=round(float(confidence.mean()), 6),
    )


def _claim(root: Path, settings: dict[str, Any]) -> None:
    root.mkdir(parents=True, exist_ok=True)
    for folder, _ in walk(root):
        remove_leftovers(folder)
    path = root / SETTINGS
    if not path.is_file():
        if any(root.iterdir()):
            raise ValueError(f'{root} must be empty or hold labels of the same source, but holds other files')
        write_atomically(path, json.dumps(settings))


def _check_settings(root: Path, settings: dict[str, Any]) -> None:
    before = json.loads((root / SETTINGS).read_text())
    different = [key for key in settings if before.get(key) != json.loads(json.dumps(settings[key]))]
    if different:
        key = different[0]
        raise ValueError(
            f'{root} holds labels with other settings: {key} was {before.get(key)}, but is now '
            f'{settings[key]}; choose another folder, or remove this one'
        )


def _done(root: Path) -> dict[str, dict[str, Any]]:
    """The entries of the images that are already labeled, by name."""
    found: dict[str, dict[str, Any]] = {}
    for line in _lines(root / PARTS):
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        check_listed_names(entry, str(root / PARTS))
        found.update(
            {name: value for name, value in entry.items() if 'unreadable' in value or (root / f'{name}.png').is_file()}
        )
    return found


def _lines(parts: Path) -> Iterator[str]:
    for path in sorted(parts.glob('*.jsonl')):
        yield from path.read_text(encoding='utf-8', errors='replace').splitlines()
