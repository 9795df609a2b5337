"""Conversion of the weights of torchvision's FCN to MMSegmentation's names."""

import re

from torch import Tensor

HEADS = dict(classifier='decode_head', aux_classifier='auxiliary_head')
# A head of torchvision is a Sequential: convolution, normalization, ReLU, dropout, classifier.
PARTS = {'0': 'convs.0.conv', '1': 'convs.0.bn', '4': 'conv_seg'}


def convert_torchvision_fcn(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the weights of ``torchvision.models.segmentation.fcn_resnet50`` (or 101) to MMSegmentation's names.

    The network that loads them has a plain ``ResNet`` (7x7 stem, ``style='pytorch'``, ``contract_dilation=True``) and
    heads of one convolution without a shortcut (``FCNHead``, ``num_convs=1``, ``concat_input=False``), as in
    ``configs/_base_/models/fcn_r50_torchvision.py``. Its logits equal those of torchvision before they are resized.

    Args:
        weights: The state dict of torchvision's model, with or without auxiliary classifier.

    Raises:
        ValueError: if a name in it does not belong to such a model.

    Example:
        >>> from mmseg_kd.models.torchvision_fcn import convert_torchvision_fcn
        >>> list(convert_torchvision_fcn({'backbone.conv1.weight': 0, 'classifier.4.weight': 1}))
        ['backbone.conv1.weight', 'decode_head.conv_seg.weight']
    """
    converted = {_name(key): value for key, value in weights.items()}
    if 'backbone.conv1.weight' not in converted or 'decode_head.conv_seg.weight' not in converted:
        raise ValueError(
            'weights must be those of torchvision.models.segmentation.fcn_resnet50, with its backbone and '
            f'classifier, but have {len(weights)} entries, the first {next(iter(weights), None)!r}'
        )
    return converted


def _name(key: str) -> str:
    if re.match(r'backbone\.(conv1|bn1|layer[1-4]\.\d+)\.', key):
        return key
    head, _, rest = key.partition('.')
    part, _, name = rest.partition('.')
    if head not in HEADS or part not in PARTS:
        raise ValueError(
            f'"{key}" must be a name of torchvision.models.segmentation.fcn_resnet50, such as '
            '"backbone.conv1.weight" or "classifier.0.weight"; give the weights of that model'
        )
    return f'{HEADS[head]}.{PARTS[part]}.{name}'
