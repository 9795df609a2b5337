"""Files that create another file when something runs what they name, for tests that nothing does."""

import json
import os
import pickle
from pathlib import Path

import torch


class Canary:
    """An object whose pickle creates a file.

    Args:
        path: File to create.
    """

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def poison_pickle(file, ran):
    """A bare pickle."""
    Path(file).write_bytes(pickle.dumps(Canary(ran)))


def poison_checkpoint(file, ran, legacy=False):
    """A checkpoint of torch with weights and an object that runs."""
    content = dict(state_dict=dict(weight=torch.ones(1)), meta=dict(epoch=Canary(ran)))
    torch.save(content, file, _use_new_zipfile_serialization=not legacy)


def poison_yaml(file, ran):
    """A YAML file with a tag that calls a function."""
    Path(file).write_text(f'x: !!python/object/apply:os.mkdir [{json.dumps(str(ran))}]\n')


def poison_python(file, ran):
    """A module of Python."""
    Path(file).write_text(f'import os\nos.mkdir({str(ran)!r})\nmodel = dict()\n')
