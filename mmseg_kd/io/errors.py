"""Exceptions as one line of text."""

import traceback
from pathlib import Path

import torch


def sentence(error: Exception) -> str:
    """An exception as one line. Unexpected types of exceptions are followed by the place that raised them.

    Args:
        error: Exception that was caught.

    Example:
        >>> sentence(ValueError('temperature must be > 0, but is -1'))
        'temperature must be > 0, but is -1'
        >>> sentence(KeyError('model'))
        "KeyError: 'model'"
    """
    text = ' '.join(str(error).split())
    if isinstance(error, torch.cuda.OutOfMemoryError):
        return f'the GPU is out of memory; lower train_dataloader.batch_size or the crop size ({text})'
    if isinstance(error, (ValueError, OSError, ImportError)) and text:
        return text
    frames = traceback.extract_tb(error.__traceback__)
    place = f' ({"/".join(Path(frames[-1].filename).parts[-3:])}, line {frames[-1].lineno})' if frames else ''
    return f'{type(error).__name__}: {text}{place}'
