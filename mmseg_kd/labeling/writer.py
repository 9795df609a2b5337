"""Label maps as files that other tools can read, written once each however often the work is interrupted."""

import io
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dist import barrier, get_dist_info
from PIL import Image
from torch import Tensor

from ..constants import IGNORE_INDEX
from ..distillers.class_logits import decide
from ..io.files import find_files, write_atomically

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
    """Label images, and leave ``<out>/<image without suffix>.png`` for each, and ``<out>/labels.json`` about all.

    A map holds the predicted class, which is the most probable one, and 255 (void) where its probability is below
    ``threshold``. Every file is written whole or not at all, and what is there already is not done again: kill it and
    call it again. With several processes, each takes every n-th image; all must call this, and all return the same.

    Args:
        label: gives the probabilities (C, H, W) of the image at a path. A ``foreground_threshold`` of it, as that of a
            :class:`Labeler` of one channel, decides between the two classes in place of the greater probability.
        images: paths below ``folder``.
        folder: of the images.
        out: where to.
        classes: names, in the order of the probabilities; at most 255.
        palette: red, green and blue of every class, for viewers of the maps.
        threshold: in 0..1.
        top_k: also write ``<image>.npz`` with the ``top_k`` most probable ``classes`` (K, h, w), uint8, their
            probabilities ``shares`` (K, h, w), and what is left for all others, ``rest`` (h, w), both float16, at every
            ``stride``-th pixel; 0 for none.
        stride: in pixels.
        source: what made the labels, such as config and checkpoint; labels of different sources never share a folder.
        skip_unreadable: leave out images that cannot be read, and name them in the summary.
        report: called with how many images this process has done, and of how many.

    Returns:
        dict: what ``labels.json`` holds: ``classes``, ``palette``, ``source``, ``images`` (for each its ``size`` (H,
            W),
        the ``share`` of its pixels that every class has, of ``void``, and the mean ``confidence``), and ``unreadable``.

    Raises:
        ValueError: if there is no image, two would get the same file, an image cannot be read, ``out`` holds other
            labels, or there are too many classes.
        OSError: if a file cannot be written; none is left half-written.
    """
    if not images:
        raise ValueError(f'{folder} holds no image to label')
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
    todo = [name for name in sorted(names) if name not in done]
    _label_share(
        label,
        [(name, names[name]) for name in todo[rank::processes]],
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
    """The images in a folder and in the folders in it, as :func:`~mmseg_kd.io.files.find_files` lists them.

    Raises:
        ValueError: if it is no folder, or holds no image.
    """
    if not Path(folder).is_dir():
        raise ValueError(f'there is no folder {folder}')
    found = find_files(folder, SUFFIXES)
    if not found:
        raise ValueError(f'{folder} must hold images ({", ".join(SUFFIXES)}), but holds none')
    return found


def by_name(images: Sequence[str]) -> dict[str, str]:
    """Images by their name, the path without its suffix.

    Raises:
        ValueError: if two have one name.
    """
    names = {os.path.splitext(image)[0]: image for image in images}
    if len(names) < len(images):
        twice = sorted(image for image in images if names[os.path.splitext(image)[0]] != image)
        raise ValueError(
            f'{len(twice)} images differ from others in the suffix alone, such as {twice[0]}; rename them, '
            'since their labels would be one file'
        )
    return names


def images_of_ids(folder: str, ids: Sequence[str], key: str, source: str) -> dict[str, str]:
    """The images of a list, by id: the path below the folder, without suffix.

    Args:
        folder: of the images, as :func:`find_images` walks it.
        ids: of the list.
        key: of the setting that names the list, for the error.
        source: the list file or files, for the error.

    Raises:
        ValueError: if an id has no image, or as :func:`find_images` and :func:`by_name`.
    """
    files = by_name(find_images(folder))
    missing = [name for name in ids if name not in files]
    if missing:
        raise ValueError(
            f'{key}: {len(missing)} of {len(ids)} ids of {source} have no image in {folder}, such as {missing[0]}'
        )
    return {name: files[name] for name in ids}


def read_summary(folder: str) -> dict[str, Any]:
    """What :func:`write_labels` left about all images of a folder.

    Raises:
        ValueError: if there is none, or the labels are not complete.
    """
    path = Path(folder) / SUMMARY
    if not path.is_file():
        begun = (Path(folder) / SETTINGS).is_file()
        raise ValueError(
            f'{folder} must hold {SUMMARY}, as tools/pseudo_label.py writes it, but '
            f'{"labeling it was interrupted; start that again" if begun else "holds none"}'
        )
    summary = json.loads(path.read_text())
    if summary.get('format') != FORMAT:
        raise ValueError(f'{path} must have format {FORMAT}, but has {summary.get("format")}; label the images again')
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
    # All 256: with fewer, a PNG has fewer bits, and void would become another number.
    colors = None if palette is None else [*np.asarray(palette).flatten().tolist(), *[0] * (3 * (256 - len(palette)))]
    # A line for each image, after its map is there: a line that a kill cut off stands for work to be done again.
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
                        'the network gives probabilities that are no numbers for '
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
        raise ValueError(
            f'the network tells {len(probabilities)} classes apart, but {len(settings["classes"])} are named'
        )
    labels = labels.to(torch.uint8)
    labels[confidence < settings['threshold']] = IGNORE_INDEX
    path.parent.mkdir(parents=True, exist_ok=True)
    if settings['top_k']:
        stride = settings['stride']
        sampled = probabilities[:, stride // 2 :: stride, stride // 2 :: stride]
        shares, classes = sampled.topk(settings['top_k'], dim=0)
        # Not 1 less the shares: next to 1, half precision knows no tail, and a high temperature is all about it.
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
    path = root / SETTINGS
    if not path.is_file():
        if any(root.iterdir()):
            raise ValueError(f'{root} must be empty, or hold labels of the same source, but holds other files')
        write_atomically(path, json.dumps(settings))


def _check_settings(root: Path, settings: dict[str, Any]) -> None:
    before = json.loads((root / SETTINGS).read_text())
    different = [key for key in settings if before.get(key) != json.loads(json.dumps(settings[key]))]
    if different:
        key = different[0]
        raise ValueError(
            f'{root} holds labels that were made otherwise: {key} was {before.get(key)}, but is '
            f'{settings[key]}; take another folder, or remove that'
        )


def _done(root: Path) -> dict[str, dict[str, Any]]:
    """What is known of the images that are labeled, by name."""
    found: dict[str, dict[str, Any]] = {}
    for line in _lines(root / PARTS):
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        found.update(
            {name: value for name, value in entry.items() if 'unreadable' in value or (root / f'{name}.png').is_file()}
        )
    return found


def _lines(parts: Path) -> Iterator[str]:
    for path in sorted(parts.glob('*.jsonl')):
        yield from path.read_text(encoding='utf-8', errors='replace').splitlines()
