"""The logits of a decode head from which its prediction is made, with one channel per class."""

import copy
import functools
from typing import Any

import torch
import torch.nn.functional as F
from mmseg.models.decode_heads import DDRHead, IterativeDecodeHead, PIDHead, PointHead, VPDDepthHead
from mmseg.models.decode_heads.cascade_decode_head import BaseCascadeDecodeHead
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from torch import Tensor, nn

from ..models.class_map import MASK_CLASSIFIERS, MappedHead
from ..models.hf_networks import log_shares
from ..models.two_classes import two_classes

# Heads whose forward returns more in training than in testing, with the index of the item that testing returns.
DEPLOYED = {PIDHead: 1, DDRHead: 0, IterativeDecodeHead: -1}


class PathError(ValueError):
    """A path of a term that cannot be read.

    Example:
        >>> from mmseg_kd.distillers import PathError, Taps
        >>> from torch import nn
        >>> try:
        ...     Taps(nn.Sequential(nn.ReLU()), ['1'])
        ... except PathError as error:
        ...     print(error)
        "1" names no module or parameter of Sequential; closest are: none
    """


def class_logits(head: nn.Module, output: Any) -> Tensor:
    r"""Logits (N, C, h, w) of all classes, before they are resized: the map from which the head predicts.

    - The output of a head with one output, unchanged.
    - For several outputs, the one that the head's own ``predict`` takes: the first of DANet, EncNet and, in training,
      DDRNet; the second of PIDNet in training; the last of K-Net in training.
    - For a mask classifier (Mask2Former, MaskFormer, SAN), :math:`\log (s_c / \sum_k s_k)` of its scores :math:`s_{cp}
      = \sum_q \mathrm{softmax}_c(z_q)\, \sigma(m_{qp})`, at the resolution of its masks. Prediction resizes the masks
      before the sum; the largest class is that of the scores.
    - For one channel z, whose sigmoid is the probability of class 1, the two logits (-z/2, z/2). Their softmax at
      temperature T is the Bernoulli distribution of :math:`\sigma(z / T)`. Unlike (0, z), both channels carry the map,
      so that losses that compare channels over space, or raw logits, treat both classes alike.

    Args:
        head: The decode head.
        output: The return value of its ``forward``.

    Raises:
        PathError: if the head predicts from something other than the output of its forward, or if it is unclear which
            of several outputs predicts.
    """
    if isinstance(head, MappedHead):
        return head.class_map(class_logits(head.head, output))
    check_head(head)
    queries = _queries(output)
    if queries is not None:
        return log_shares(_scores(*queries))
    chosen = output if isinstance(output, Tensor) else _chosen(head, output)
    if chosen.dim() != 4:
        raise PathError(
            f'"logits" must be a map (N, C, h, w), but {type(head).__name__} returns {tuple(chosen.shape)}; '
            'name a module of it instead'
        )
    return two_classes(chosen)


def check_head(head: nn.Module) -> None:
    """Raise PathError if the outputs of a head are not class maps."""
    head = head.head if isinstance(head, MappedHead) else head
    if isinstance(head, PointHead):
        raise PathError(
            '"logits" is not available for PointRend, whose PointHead classifies single points and refines in '
            'testing only; name "decode_head.0", the coarse logits of the head before it'
        )
    if isinstance(head, VPDDepthHead):
        raise PathError(
            '"logits" is not available for VPDDepthHead, which estimates depth and no classes; '
            'name a module of it instead'
        )


def count_classes(network: nn.Module | dict) -> int:
    """Number of classes in the labels of a segmentor or a head: two for one channel; 0 if it is unknown.

    Args:
        network: A network with the attributes ``num_classes`` and ``out_channels`` of MMSegmentation, or the config of
            a head.
    """
    read = network.get if isinstance(network, dict) else functools.partial(getattr, network)
    classes = int(read('num_classes', None) or 0)
    return 2 if 1 in (classes, read('out_channels', None)) else classes


def prediction_logits(segmentor: nn.Module, maps: Tensor) -> Tensor:
    """Logits (N, C, H, W), C >= 2, from the maps from which MMSegmentation makes a prediction.

    Args:
        segmentor: The segmentor of the maps.
        maps: The result of its ``encode_decode`` or ``inference``: logits, with one or more channels, or the scores of
            a mask classifier.
    """
    return log_shares(maps) if _is_mask_classifier(segmentor) else two_classes(maps)


def prediction_shares(segmentor: nn.Module, maps: Tensor) -> Tensor:
    """Probabilities (C, H, W), C >= 2, from the ``seg_logits`` of a predicted data sample.

    Args:
        segmentor: The segmentor that predicted.
        maps: Its ``seg_logits`` (C, H, W): logits, the probability of class 1 for one channel, or the scores of a mask
            classifier.

    Returns:
        Tensor: The probabilities. Their sum is below 1 where a network with a ``class_map`` sees a class that it leaves
        out.
    """
    maps = maps.float()
    if isinstance(_output_head(segmentor), MappedHead):
        return maps.exp()
    if len(maps) == 1:
        return torch.cat([1 - maps, maps])
    return log_shares(maps[None])[0].exp() if _is_mask_classifier(segmentor) else maps.softmax(0)


def prediction_threshold(segmentor: nn.Module) -> float | None:
    """The probability above which a segmentor of one channel predicts class 1; None for other segmentors, which predict
    the most probable class.

    Args:
        segmentor: A segmentor of MMSegmentation.
    """
    head = _output_head(segmentor)
    return getattr(head, 'threshold', None) if getattr(head, 'out_channels', None) == 1 else None


def decide(shares: Tensor, threshold: float | None = None) -> tuple[Tensor, Tensor]:
    """The probability of the predicted class of every pixel, and that class, (...) each.

    Args:
        shares: The probabilities (C, ...).
        threshold: The threshold of :func:`prediction_threshold`.
    """
    if threshold is None:
        share, labels = shares.max(0)
        return share, labels
    labels = (shares[1] > threshold).long()
    return shares.gather(0, labels[None])[0], labels


def _queries(output: Any) -> tuple[Tensor, Tensor] | None:
    """The last layer's classes (N, Q, C + 1) and masks (N, Q, h, w) of a mask classifier, in whichever order they come.

    Layers are a list (Mask2Former, SAN) or the first dimension of a tensor (MaskFormer).
    """
    if not isinstance(output, (tuple, list)) or len(output) != 2:
        return None
    last = [part[-1] if isinstance(part, (tuple, list)) and part else part for part in output]
    if not all(isinstance(part, Tensor) for part in last):
        return None
    classes, masks = sorted(last, key=Tensor.dim)
    if (classes.dim(), masks.dim()) == (4, 5):
        classes, masks = classes[-1], masks[-1]
    fits = (classes.dim(), masks.dim()) == (3, 4) and classes.shape[:2] == masks.shape[:2]
    return (classes, masks) if fits else None


def _scores(classes: Tensor, masks: Tensor) -> Tensor:
    with torch.autocast(masks.device.type, enabled=False):
        return torch.einsum('nqc,nqhw->nchw', F.softmax(classes.float(), dim=-1)[..., :-1], masks.float().sigmoid())


def _chosen(head: nn.Module, output: Any) -> Tensor:
    for kind, index in DEPLOYED.items():
        if isinstance(head, kind):
            return output[index]
    chosen = _asked(head, output)
    if isinstance(chosen, Tensor):
        return chosen
    items = (
        list(output.values() if isinstance(output, dict) else output) if isinstance(output, (dict, list, tuple)) else []
    )
    channels = getattr(head, 'out_channels', None)
    maps = [x for x in items if isinstance(x, Tensor) and x.dim() == 4 and channels in (None, x.shape[1])]
    if len(maps) == 1:
        return maps[0]
    raise PathError(
        f'"logits" must be the map that predicts, but {type(head).__name__} returns {len(maps)} maps of '
        f'{channels or "any"} channels and its predict() does not choose one of them; name the '
        'classifier that predicts, such as "decode_head.conv_seg", or an item, such as "decode_head[0]"'
    )


def _asked(head: nn.Module, output: Any) -> Any:
    """The result of the head's own ``predict`` for the output, before resizing; None if it cannot be had."""
    # A shallow copy shares the weights, and leaves the head itself unchanged.
    asked: Any = copy.copy(head)
    asked.__dict__['forward'] = lambda *args, **kwargs: output
    if getattr(type(head), 'predict_by_feat', None) is BaseDecodeHead.predict_by_feat:
        asked.__dict__['predict_by_feat'] = lambda chosen, *args, **kwargs: chosen
    maps = [x for x in output if isinstance(x, Tensor) and x.dim() == 4] if isinstance(output, (list, tuple)) else []
    size = tuple(maps[0].shape[2:]) if maps else None
    metas = [dict(img_shape=size, pad_shape=size, ori_shape=size)] * (len(maps[0]) if maps else 1)
    inputs = (None, None) if isinstance(head, BaseCascadeDecodeHead) else (None,)
    try:
        return asked.predict(*inputs, metas, None)
    except Exception:  # its predict does more than choose an output
        return None


def _output_head(segmentor: nn.Module) -> nn.Module | None:
    head = getattr(segmentor, 'decode_head', None)
    return head[-1] if isinstance(head, nn.ModuleList) else head


def _is_mask_classifier(segmentor: nn.Module) -> bool:
    return isinstance(_output_head(segmentor), MASK_CLASSIFIERS)
