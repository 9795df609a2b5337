"""Exceptions as text for people."""

import traceback
from pathlib import Path

import torch


def sentence(error: Exception) -> str:
    """An exception in one line; one that was not written for people says where it came from as well."""
    text = ' '.join(str(error).split())
    if isinstance(error, torch.cuda.OutOfMemoryError):
        return f'the GPU has too little memory; lower train_dataloader.batch_size or the size of crops ({text})'
    if isinstance(error, (ValueError, OSError, ImportError)) and text:
        return text
    frames = traceback.extract_tb(error.__traceback__)
    place = f' ({"/".join(Path(frames[-1].filename).parts[-3:])}, line {frames[-1].lineno})' if frames else ''
    return f'{type(error).__name__}: {text}{place}'
