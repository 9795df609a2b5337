"""Make MMEngine read files as this package does, in its own tools and in all others that import the package."""

import functools
import io
import os
from types import SimpleNamespace
from typing import Any

from mmengine.runner import checkpoint as mmengine_checkpoint
from mmengine.runner.checkpoint import CheckpointLoader
from mmengine.runner.checkpoint import load_from_openmmlab as stock_load_from_openmmlab
from mmseg.datasets import BaseSegDataset
from mmseg.utils import io as mmseg_io
from torch import nn

from .checkpoint import CheckpointError, read_tensors
from .listed_paths import check_listed_images
from .safe_pickle import load_pickle


def load_from_local(filename: str, map_location: Any = 'cpu') -> Any:
    """Read a local checkpoint; takes the place of MMEngine's function of this name."""
    path = os.path.expanduser(filename)
    if not os.path.isfile(path):
        raise FileNotFoundError(f'no such checkpoint: {path}')
    return read_tensors(path, map_location)


def load_from_http(filename: str, map_location: Any = None, model_dir: Any = None, progress: bool = True) -> Any:
    """Download and read a checkpoint; takes the place of MMEngine's function of this name."""
    return read_tensors(filename, map_location)


def load_from_ceph(filename: str, map_location: Any = None, backend: str = 'petrel') -> Any:
    """Read a checkpoint through a file backend; takes the place of MMEngine's function of this name."""
    return read_tensors(filename, map_location)


def load_from_openmmlab(filename: str, map_location: Any = None) -> Any:
    """Read a checkpoint that a list in MMEngine names; takes the place of MMEngine's function of this name.

    The list may be extended by ``open_mmlab.json`` in MMEngine's cache, which may name local files as well.
    """
    known = mmengine_checkpoint.get_external_models()
    name = filename.partition('://')[2]
    name = mmengine_checkpoint.get_deprecated_model_names().get(name, name)
    if name in known and '://' not in known[name]:
        return load_from_local(os.path.join(mmengine_checkpoint._get_mmengine_home(), known[name]), map_location)
    return stock_load_from_openmmlab(filename, map_location)


LOADERS = {
    load_from_local: ('',),
    load_from_http: ('http://', 'https://'),
    load_from_ceph: (r'(\S+\:)?s3://', r'(\S+\:)?petrel://'),
    load_from_openmmlab: ('open-mmlab://', 'openmmlab://'),
}


def install() -> None:
    """Register this package's readers in place of MMEngine's. Repeated calls change nothing.

    All loaders of checkpoints are replaced: those of ``load_from``, ``resume``, ``init_cfg`` and ``pretrained``, with
    local paths, addresses and names such as ``torchvision://resnet18``. Weights of which none fits are refused. Data
    sets of MMSegmentation refuse lists that lead out of their folders.

    Example:
        >>> install()
        >>> CheckpointLoader._get_checkpoint_loader('weights.pth').__module__
        'mmseg_kd.io.mmengine_files'
    """
    for loader, prefixes in LOADERS.items():
        CheckpointLoader.register_scheme(list(prefixes), loader, force=True)
        # Loaders of names, such as torchvision://, call the others by their names in MMEngine's module.
        setattr(mmengine_checkpoint, loader.__name__, loader)
    # The continuation's loaders of other schemes fall back to reading with pickle in this function.
    if hasattr(mmengine_checkpoint, '_safe_torch_load'):
        mmengine_checkpoint._safe_torch_load = _torch_load
    _check_loaded()
    _check_lists(BaseSegDataset)
    # Medical images may be pickles (decode_backend='pickle').
    mmseg_io.pickle = SimpleNamespace(loads=lambda content: load_pickle(io.BytesIO(content)))


def _check_loaded() -> None:
    """Make MMEngine refuse weights of which none fits the network; it would only list them in a warning."""
    load = mmengine_checkpoint.load_state_dict
    if hasattr(load, '__wrapped__'):
        return

    @functools.wraps(load)
    def load_state_dict(module: nn.Module, state_dict: dict, strict: bool = False, logger: Any = None) -> None:
        # BatchNorm sets its counter of batches itself if the checkpoint has none.
        tensors = [tensor for tensor in (*module.parameters(), *module.buffers()) if tensor.is_floating_point()]
        # PyTorch counts the changes of every tensor.
        before = [tensor._version for tensor in tensors]
        load(module, state_dict, strict, logger)
        if state_dict and tensors and before == [tensor._version for tensor in tensors]:
            own, theirs = next(iter(module.state_dict()), 'none'), next(iter(state_dict))
            raise CheckpointError(
                f'none of the {len(state_dict)} weights fits {type(module).__name__}, whose first weight is {own}; the '
                f'first of the checkpoint is {theirs}. Check init_cfg.checkpoint and init_cfg.prefix, pretrained, or '
                'load_from'
            )

    mmengine_checkpoint.load_state_dict = load_state_dict


def _check_lists(kind: type[BaseSegDataset]) -> None:
    """Make a class of data sets refuse lists of images that lead out of its folders."""
    read = kind.load_data_list
    if hasattr(read, '__wrapped__'):
        return

    @functools.wraps(read)
    def load_data_list(self: BaseSegDataset) -> list[dict]:
        entries = read(self)
        check_listed_images(self, entries)
        return entries

    kind.load_data_list = load_data_list


def _torch_load(file: Any, map_location: Any = None, weights_only: bool | None = None) -> Any:
    return read_tensors(str(file), map_location)
