"""Predictions of a network in the classes of another data set."""

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.fileio import load
from mmseg.models.decode_heads import Mask2FormerHead, MaskFormerHead, SideAdapterCLIPHead
from torch import Tensor, nn

from .hf_networks import log_shares
from .two_classes import two_classes

# Their `predict` returns scores of classes, and not logits.
MASK_CLASSIFIERS = (Mask2FormerHead, MaskFormerHead, SideAdapterCLIPHead)
Sources = Sequence[str | int] | str | int


class ClassMap:
    r"""Which classes of a network make up each class of a data set; their probabilities are added up.

    .. math:: z_c = \log \sum_{k \in S_c} \mathrm{softmax}_k(y)

    with the logits y of the network and the set :math:`S_c` of its classes for class c of the data set. The softmax of
    z shares the probability among the classes that have sources; that of the network's other classes is left out. A
    class without sources is unknown to the network, and gets the smallest logarithm.

    Args:
        groups: For every class of the data set, in the order of its labels: a class of the network, a list of its
            classes, or an empty list if it knows none. Classes of the network are names or indices.
        classes: The names of the network's classes in their order; a number of classes if they have no names.
        key: The key of ``groups`` in the config, for messages.

    Attributes:
        names: The names of the data set's classes.
        sources: The indices of the network's classes, for each class of the data set.
        matrix: Zeros and ones (classes of the data set, classes of the network).

    Raises:
        ValueError: if a class does not exist or is used twice, or if no class has sources.

    Example:
        >>> import torch
        >>> mapped = ClassMap({'vehicle': ['car', 'bus'], 'sky': 'sky', 'logo': []}, classes=['sky', 'car', 'bus'])
        >>> mapped.sources, mapped.known
        ([[1, 2], [0], []], [0, 1])
        >>> logits = torch.tensor([0.5, 0.2, 0.3]).log().reshape(1, 3, 1, 1)
        >>> [round(share, 3) for share in mapped(logits).exp().flatten().tolist()]
        [0.5, 0.5, 0.0]
    """

    def __init__(
        self, groups: Mapping[str | int, Sources], classes: Sequence[str] | int, key: str = 'class_map'
    ) -> None:
        check_groups(groups, key)
        self.names = [str(name) for name in groups]
        number = classes if isinstance(classes, int) else len(classes)
        self.classes = [str(index) for index in range(number)] if isinstance(classes, int) else list(classes)
        self.sources = [
            [_index(source, classes, f'{key}.{name}') for source in listed(sources)] for name, sources in groups.items()
        ]
        used = [index for group in self.sources for index in group]
        twice = next((index for index in used if used.count(index) > 1), None)
        if twice is not None:
            raise ValueError(f'{key}: class {self.classes[twice]!r} of the teacher is used twice; use it once')
        self.matrix = torch.zeros(len(self.names), number)
        for row, group in enumerate(self.sources):
            self.matrix[row, group] = 1
        self._matrices = {self.matrix.device: self.matrix}

    @property
    def known(self) -> list[int]:
        """The indices of the data set's classes that have sources."""
        return [index for index, group in enumerate(self.sources) if group]

    @property
    def unused(self) -> list[str]:
        """The network's classes that belong to no class of the data set."""
        used = {index for group in self.sources for index in group}
        return [name for index, name in enumerate(self.classes) if index not in used]

    def __call__(self, logits: Tensor) -> Tensor:
        """Logits (N, C, ...) in the classes of the data set, in float32.

        Args:
            logits: The network's logits (N, K, ...).
        """
        with torch.autocast(logits.device.type, enabled=False):
            shares = logits.float().softmax(1)
            sums = torch.einsum('ck,nk...->nc...', self._matrix_on(logits.device), shares)
            return sums.clamp_min(torch.finfo(torch.float32).tiny).log()

    def _matrix_on(self, device: torch.device) -> Tensor:
        """The matrix on a device, to which it is copied once."""
        if device not in self._matrices:
            self._matrices[device] = self.matrix.to(device)
        return self._matrices[device]


class MappedHead(nn.Module):
    """A decode head whose predictions are in the classes of a :class:`ClassMap`; everything else is as in the head.

    Args:
        head: The decode head.
        class_map: The map.
    """

    threshold = None  # of a head with one channel
    head: Any
    class_map: Any

    def __init__(self, head: nn.Module, class_map: ClassMap) -> None:
        super().__init__()
        self.head, self.class_map = head, class_map
        self.num_classes = self.out_channels = len(class_map.names)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The output of the head itself, in its own classes."""
        return self.head.forward(*args, **kwargs)

    def predict(self, *args: Any, **kwargs: Any) -> Tensor:
        """Logits (N, classes, H, W)."""
        maps = self.head.predict(*args, **kwargs)
        return self.class_map(log_shares(maps) if isinstance(self.head, MASK_CLASSIFIERS) else two_classes(maps))

    def at_size(self, *args: Any, **kwargs: Any) -> Tensor:
        """Logits (N, classes, H, W) of the head of :class:`~mmseg_kd.models.HFSegmentor`."""
        return self.class_map(self.head.at_size(*args, **kwargs))

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__('head'), name)


def map_classes(segmentor: Any, class_map: ClassMap) -> Any:
    """Make a segmentor predict the classes of a map. Its checkpoint must be loaded before.

    Args:
        segmentor: The segmentor, which is changed and returned.
        class_map: The map.

    Raises:
        ValueError: if the segmentor has no decode head.

    Example:
        >>> from mmengine.registry import init_default_scope
        >>> from mmseg.registry import MODELS
        >>> from mmseg_kd.testing.toys import toy_segmentor
        >>> init_default_scope('mmseg')  # a Runner does this
        >>> segmentor = MODELS.build(toy_segmentor(num_classes=4)).eval()
        >>> segmentor = map_classes(segmentor, ClassMap({'first': [0, 2], 'second': 1}, classes=4))
        >>> segmentor.num_classes
        2
    """
    head = getattr(segmentor, 'decode_head', None)
    if head is None:
        raise ValueError(f'class_map needs a segmentor with a decode_head, but {type(segmentor).__name__} has none')
    if isinstance(head, nn.ModuleList):
        head[-1] = MappedHead(head[-1], class_map)
    else:
        segmentor.decode_head = MappedHead(head, class_map)
    segmentor.num_classes = segmentor.out_channels = len(class_map.names)
    return segmentor


def read_class_map(path: str) -> dict:
    """The groups of a :class:`ClassMap` in a YAML or JSON file.

    Args:
        path: The path of the file.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it holds something else.

    Example:
        >>> _ = Path('classes.yml').write_text('vehicle: [car, bus]\\nsky: sky\\nlogo: []')
        >>> read_class_map('classes.yml')
        {'vehicle': ['car', 'bus'], 'sky': 'sky', 'logo': []}
    """
    if not path.endswith(('.yml', '.yaml', '.json')):
        raise ValueError(f'{path} must be a .yml, .yaml or .json file that maps classes to classes of the teacher')
    if not Path(path).is_file():
        raise FileNotFoundError(f'there is no file of classes {path}')
    try:
        groups = load(path)
    except Exception as error:
        raise ValueError(f'{path} cannot be read: {" ".join(str(error).split())}') from None
    check_groups(groups, path)
    return groups


def check_groups(groups: Any, key: str) -> None:
    """Raise ValueError unless the groups of a :class:`ClassMap` have its form."""
    if not isinstance(groups, Mapping) or not groups:
        raise ValueError(
            f"{key} must map each class of the data set to classes of the teacher, as in dict(car=['car', 'van'], "
            f'sky=[]), but is {groups!r}'
        )
    if list(groups) != list(range(len(groups))) and any(not isinstance(name, str) for name in groups):
        raise ValueError(
            f'{key} must have the names of all classes of the data set as keys, in the order of the labels, or the '
            f'indices 0 to {len(groups) - 1}, but has {list(groups)}'
        )
    if not any(listed(sources) for sources in groups.values()):
        raise ValueError(f'{key} names no class of the teacher; give at least one class its sources')


def listed(sources: Sources) -> list[str | int]:
    """The sources of a class as a list."""
    return [sources] if isinstance(sources, (str, int)) else list(sources)


def _index(source: str | int, classes: Sequence[str] | int, key: str) -> int:
    number = classes if isinstance(classes, int) else len(classes)
    if isinstance(source, int) and not isinstance(source, bool):
        if not 0 <= source < number:
            raise ValueError(f'{key}: classes of the teacher have indices 0 to {number - 1}, but {source} is given')
        return source
    if isinstance(classes, int):
        raise ValueError(
            f"{key}: the names of the teacher's classes are unknown, but {source!r} is given; set classes of "
            'the teacher to their names or to the name of a data set, or give indices'
        )
    names = [_plain(name) for name in classes]
    if _plain(str(source)) not in names:
        close = difflib.get_close_matches(str(source), classes, n=3, cutoff=0.4)
        raise ValueError(
            f'{key}: the teacher has no class {source!r} (closest: {", ".join(close) or "none"}); it has '
            f'{", ".join(list(classes)[:5])}{", ..." if number > 5 else ""}'
        )
    return names.index(_plain(str(source)))


def _plain(name: str) -> str:
    return name.strip().lower()
