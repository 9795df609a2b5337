from collections.abc import Sequence

from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor

from .hf_networks import library, load_network, read_config, whole_patches


@MODELS.register_module()
class HFBackbone(BaseModule):
    """A backbone of Hugging Face's ``transformers`` (DINOv2, DINOv3, Swin, ConvNeXt, ...) for MMSegmentation's heads.

    Any network of the library's ``AutoBackbone`` can be used, in a student or in a teacher that you train. The
    constructor reads the config. ``init_weights``, which a training calls, reads the weights, so a checkpoint of the
    whole segmentor needs no second file. Images are enlarged to a multiple of the patch size. All maps of a plain
    vision transformer have the stride of its patches; a neck such as MMSegmentation's ``Feature2Pyramid`` makes a
    pyramid of them. Needs the extra ``hf``.

    Args:
        pretrained: A folder written by ``save_pretrained``, or a name on the hub, such as ``facebook/dinov2-small``.
            Weights are read from safetensors files only, and code of a repository never runs.
        out_indices: The indices of the stages (or layers) whose maps are returned; None keeps those of the config. The
            library counts the stem, or the embeddings, as 0.
        init_cfg: The config of another initialization, which replaces the weights of ``pretrained``.

    Raises:
        ImportError: if ``transformers`` is not installed.
        FileNotFoundError: if ``pretrained`` cannot be found, or has no safetensors file.
        ValueError: if ``pretrained`` holds no backbone.

    Example:
        >>> backbone = dict(type='HFBackbone', pretrained='facebook/dinov2-small', out_indices=(3, 6, 9, 12))
        >>> neck = dict(type='Feature2Pyramid', embed_dim=384, rescales=[4, 2, 1, 0.5])
    """

    def __init__(self, pretrained: str, out_indices: Sequence[int] | None = None, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.pretrained = pretrained
        transformers = library()
        config = read_config(pretrained)
        names = transformers.models.auto.modeling_auto.MODEL_FOR_BACKBONE_MAPPING_NAMES
        if config.model_type not in names:
            raise ValueError(
                f'backbone.pretrained must hold a backbone ({", ".join(sorted(names))}), but {pretrained} is a '
                f'{config.model_type}'
            )
        if out_indices is not None:
            config.out_indices = list(out_indices)
        self.config = config
        self.network = getattr(transformers, names[config.model_type])(config)
        patch = getattr(config, 'patch_size', 1)
        self.patch = patch if isinstance(patch, int) else 1

    @property
    def channels(self) -> list[int]:
        """Numbers of channels of the maps, for ``in_channels`` of the head."""
        return list(self.network.channels)

    def init_weights(self) -> None:
        """Load the weights of ``pretrained``, or run the initialization of ``init_cfg``."""
        if self.init_cfg:
            super().init_weights()
            return
        loaded = load_network(type(self.network), self.config, self.pretrained)
        self.network.load_state_dict(loaded.state_dict())
        self._is_init = True

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Maps (N, channels, h, w) of images (N, C, H, W)."""
        return tuple(self.network(pixel_values=whole_patches(images, self.patch)).feature_maps)
