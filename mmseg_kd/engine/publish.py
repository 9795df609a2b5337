"""Weights to share: those of a checkpoint alone, in half precision."""

import io
from pathlib import Path

import torch
from torch import Tensor

from ..io.checkpoint import CheckpointError, read_checkpoint, student_weights
from ..io.files import write_atomically

LARGEST = torch.finfo(torch.float16).max


def publish(checkpoint: str | Path, out: str | Path) -> int:
    """Write the weights of a segmentor, or of the student of a distiller, without the state of its training.

    MMSegmentation's own tools load the file: loading converts the weights to the precision of the network.

    Args:
        checkpoint: Checkpoint of a training.
        out: File to write; it gets its name only when it is complete.

    Returns:
        int: Size of the file in bytes.

    Raises:
        CheckpointError: If the checkpoint is missing, unsafe, or holds no weights.

    Example:
        >>> torch.save(dict(state_dict=dict(weight=torch.ones(1000, 1000)), optimizer=torch.ones(5000)), 'iter_100.pth')
        >>> publish('iter_100.pth', 'small.pth') // 1000  # kB
        2001
    """
    saved = read_checkpoint(str(checkpoint))
    weights = student_weights(saved) or saved.get('state_dict', saved)
    if not weights or not all(isinstance(value, Tensor) for value in weights.values()):
        raise CheckpointError(f'{checkpoint} must hold the weights of a network, but does not')
    meta = {key: value for key, value in saved.get('meta', {}).items() if key in ('dataset_meta', 'epoch', 'iter')}
    content = io.BytesIO()
    torch.save(dict(meta=meta, state_dict={key: halved(value) for key, value in weights.items()}), content)
    path = Path(out)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, content.getvalue())
    return len(content.getvalue())


def halved(weight: Tensor) -> Tensor:
    """A weight in half precision if it is a matrix or a kernel whose values fit, and unchanged otherwise.

    Vectors are few, and the variances of batch norms may be too large or too small for half precision.

    Args:
        weight: The weight.

    Example:
        >>> halved(torch.ones(2, 2)).dtype, halved(torch.ones(2)).dtype, halved(torch.full((2, 2), 1e5)).dtype
        (torch.float16, torch.float32, torch.float32)
    """
    fits = weight.dtype == torch.float32 and weight.dim() > 1 and bool((weight.abs() <= LARGEST).all())
    return weight.half() if fits else weight
