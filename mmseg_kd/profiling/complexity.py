"""Parameters and MACs (multiply-accumulate operations) of a network."""

import logging
import math
from collections.abc import Sequence

import torch
from mmengine.analysis import FlopAnalyzer
from mmengine.logging import print_log
from torch import nn

from ..distillers.inference import image_channels


def complexity(model: nn.Module, size: Sequence[int]) -> tuple:
    """Parameters, and MACs (which MMEngine calls FLOPs) for one image of the given size (H, W).

    MACs are NaN, with a warning, if PyTorch cannot trace the network, or if ``mode='tensor'`` needs more than images.
    """
    training = model.training
    model.eval()
    images = torch.zeros(1, image_channels(model), *size).to(next(model.parameters()))
    try:
        with torch.no_grad():
            analysis = FlopAnalyzer(model, images).unsupported_ops_warnings(False).uncalled_modules_warnings(False)
            macs = analysis.total()
    except Exception as error:
        reason = ' '.join(str(error).split())[:200] or type(error).__name__
        print_log(f'the MACs of {type(model).__name__} cannot be counted: {reason}', 'current', logging.WARNING)
        macs = math.nan
    finally:
        model.train(training)
    return sum(p.numel() for p in inference_parameters(model)), macs


def inference_parameters(model: nn.Module) -> list[nn.Parameter]:
    """Parameters of a deployed segmentor: all except those of auxiliary heads."""
    return [p for name, p in model.named_parameters() if not name.startswith('auxiliary_head')]
