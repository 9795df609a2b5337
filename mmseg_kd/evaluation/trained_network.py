"""A network with the weights of a training."""

import torch
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmseg.registry import MODELS
from torch import nn

from ..io.arguments import build
from ..io.checkpoint import load_weights
from ..io.configs import segmentor_config, segmentor_key


def trained_network(config: Config, checkpoint: str) -> nn.Module:
    """A trained segmentor, or the student of a distiller, in eval mode, on the GPU if there is one.

    Args:
        config: Config of the segmentor or distiller.
        checkpoint: Checkpoint of the segmentor or distiller.

    Raises:
        CheckpointError: If the checkpoint is missing, unsafe or belongs to another network.
    """
    model = revert_sync_batchnorm(build(MODELS, segmentor_config(config), segmentor_key(config)))
    load_weights(model, checkpoint)
    return model.to('cuda' if torch.cuda.is_available() else 'cpu').eval()
