"""Networks of Hugging Face's ``transformers`` as backbones, and their outputs as class maps."""

import inspect
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .windows import Windows

# Networks that predict queries, each with a class and a mask. All others predict a map of logits.
QUERY_NETWORKS = dict(
    oneformer='OneFormerForUniversalSegmentation',
    mask2former='Mask2FormerForUniversalSegmentation',
    maskformer='MaskFormerForInstanceSegmentation',
    eomt='EomtForUniversalSegmentation',
    eomt_dinov3='EomtDinov3ForUniversalSegmentation',
)
# Networks whose code takes square images of ``config.image_size`` pixels only.
ONE_SIZE = ('eomt', 'eomt_dinov3', 'data2vec-vision', 'dpt')
# The criterion's buffer of class weights has no effect on outputs. The norms before the maps of a backbone are new.
NEVER_SAVED = ('criterion.', 'hidden_states_norms.')
LEAST_SCORE = 1e-8


class _HFNetwork(nn.Module):
    """A network of the library; subclasses choose what they return.

    Args:
        config: The config of the network, as the library reads it.
        pretrained: The folder or name of the weights; see :class:`HFSegmentor`.
    """

    def __init__(self, config: Any, pretrained: str) -> None:
        super().__init__()
        self.network = load_network(network_class(config), config, pretrained)
        self.side = config.image_size if config.model_type in ONE_SIZE else None
        takes_any_size = 'interpolate_pos_encoding' in inspect.signature(self.network.forward).parameters
        self._options = dict(interpolate_pos_encoding=True) if takes_any_size and not self.side else {}
        self.patch = config.patch_size if self._options else 1

    def run(self, images: Tensor, **inputs: Any) -> tuple[Any, Windows | None]:
        """The output of the network, and the windows if it saw the images in windows."""
        windows = Windows(images.shape[2:], self.side) if self.side else None
        images = windows.cut(images) if windows else whole_patches(images, self.patch)
        return self.network(pixel_values=images, **inputs, **self._options), windows


class QueryNetwork(_HFNetwork):
    """From images to class logits (N, Q, classes + 1) and mask logits (N, Q, h, w) of the queries.

    For a network of one image size, N counts windows, and the windows are the third output; otherwise that is None.

    Args:
        config: The config of the network, as the library reads it.
        pretrained: The folder or name of the weights; see :class:`HFSegmentor`.
        task: The task text of OneFormer or its token ids; see :class:`HFSegmentor`.
    """

    def __init__(self, config: Any, pretrained: str, task: str | Sequence[int]) -> None:
        super().__init__(config, pretrained)
        reads_task = config.model_type == 'oneformer'
        self.task_ids = _task_ids(task, pretrained, config.task_seq_len) if reads_task else None

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Windows | None]:
        task = {}
        if self.task_ids is not None:
            task['task_inputs'] = torch.tensor([self.task_ids], device=images.device).expand(len(images), -1)
        outputs, windows = self.run(images, **task)
        return outputs.class_queries_logits, outputs.masks_queries_logits, windows


class LogitNetwork(_HFNetwork):
    """From images to logits (N, classes, h, w).

    For a network of one image size, N counts windows, and the windows are the second output; otherwise that is None.

    Args:
        config: The config of the network, as the library reads it.
        pretrained: The folder or name of the weights; see :class:`HFSegmentor`.
    """

    def forward(self, images: Tensor) -> tuple[Tensor, Windows | None]:
        outputs, windows = self.run(images)
        return outputs.logits, windows


class _Classes(nn.Module):
    """Takes the place of a decode head.

    Args:
        order: The network's class for each class of the data set.
    """

    align_corners = False

    def __init__(self, order: Sequence[int]) -> None:
        super().__init__()
        self.order = list(order)
        self.num_classes = self.out_channels = len(self.order)


class QueryVotes(_Classes):
    """Scores of the classes from the classes and masks of the queries."""

    def scores(self, outputs: tuple[Tensor, Tensor, Windows | None]) -> Tensor:
        """Scores (N, classes, h, w), at the resolution of the masks, in float32."""
        classes, masks, windows = outputs
        with torch.autocast(masks.device.type, enabled=False):
            shares = classes.float().softmax(dim=-1)[..., self.order]
            scores = torch.einsum('nqc,nqhw->nchw', shares, masks.float().sigmoid())
        return windows.join(scores) if windows else scores

    def forward(self, outputs: tuple[Tensor, Tensor, Windows | None]) -> Tensor:
        """Logarithm of the normalized scores."""
        return log_shares(self.scores(outputs))

    def at_size(self, outputs: tuple[Tensor, Tensor, Windows | None], size: Sequence[int]) -> Tensor:
        """Logarithm of the normalized scores, which are resized first, as the library does."""
        return log_shares(_resize(self.scores(outputs), size))


class ChosenLogits(_Classes):
    """The logits of the classes of the data set."""

    def forward(self, outputs: tuple[Tensor, Windows | None]) -> Tensor:
        """Logits (N, classes, h, w), at the resolution of the network."""
        logits, windows = outputs
        logits = logits[:, self.order]
        return windows.join(logits) if windows else logits

    def at_size(self, outputs: tuple[Tensor, Windows | None], size: Sequence[int]) -> Tensor:
        """Logits (N, classes, H, W)."""
        return _resize(self(outputs), size)


def log_shares(scores: Tensor) -> Tensor:
    """Logarithm of the share of every class in the scores (N, C, H, W) of its pixel."""
    return F.log_softmax(scores.clamp_min(LEAST_SCORE).log(), dim=1)


def whole_patches(images: Tensor, patch: int) -> Tensor:
    """Images (N, C, H, W), enlarged to the next multiples of the patch size, so that no border is cut off."""
    size = [-(-int(length) // patch) * patch for length in images.shape[2:]]
    return images if list(images.shape[2:]) == size else _resize(images, size)


def library() -> Any:
    """The package ``transformers``. Raises ImportError with the extra that installs it."""
    try:
        import transformers
    except ImportError:
        raise ImportError(
            'networks of Hugging Face need transformers, which is not installed: pip install "mmseg-kd[hf]"'
        ) from None
    return transformers


def read_config(pretrained: str) -> Any:
    """The config of a network, from its folder or name on the hub. Raises FileNotFoundError."""
    transformers = library()
    try:
        return transformers.AutoConfig.from_pretrained(pretrained, trust_remote_code=False)
    except (OSError, ValueError) as error:
        kind = FileNotFoundError if isinstance(error, OSError) else ValueError
        raise kind(
            f'pretrained must be a folder with a config.json, or a name on the hub, of a network that transformers '
            f'{transformers.__version__} contains, but is {pretrained}: {str(error).strip().splitlines()[0]}'
        ) from None


def network_class(config: Any) -> type[nn.Module]:
    """The library's class of a segmentation network. Raises ValueError for another kind of network."""
    transformers = library()
    names = {**transformers.models.auto.modeling_auto.MODEL_FOR_SEMANTIC_SEGMENTATION_MAPPING_NAMES, **QUERY_NETWORKS}
    if config.model_type not in names or not hasattr(transformers, names[config.model_type]):
        raise ValueError(
            f'model.pretrained must hold a semantic segmentation network ({", ".join(sorted(names))}), but '
            f'{config.name_or_path or "it"} is a {config.model_type}'
        )
    return getattr(transformers, names[config.model_type])


def load_network(kind: Any, config: Any, pretrained: str) -> nn.Module:
    """A network with its weights, which are read from safetensors files only and in float32.

    Args:
        kind: The library's class.
        config: The config of the network.
        pretrained: The folder or name of the weights.

    Raises:
        FileNotFoundError: if there is no safetensors file.
        ValueError: if parameters have no weights in the file.
    """
    if torch.empty(0).is_meta:
        return kind(config)  # a dry run needs shapes only
    try:
        network, found = kind.from_pretrained(
            pretrained, config=config, dtype=torch.float32, use_safetensors=True, output_loading_info=True
        )
    except OSError as error:
        raise FileNotFoundError(
            f'pretrained: {pretrained} must hold its weights as model.safetensors (save_pretrained writes it): '
            f'{str(error).strip().splitlines()[0]}'
        ) from None
    missing = sorted(name for name in found['missing_keys'] if not name.startswith(NEVER_SAVED))
    if missing:
        raise ValueError(
            f'pretrained: {pretrained} has no weights for {len(missing)} parameters of a '
            f'{config.model_type} ({", ".join(missing[:3])}, ...); its config.json is that of another network'
        )
    return network


def _resize(maps: Tensor, size: Sequence[int]) -> Tensor:
    return F.interpolate(maps, size=tuple(size), mode='bilinear', align_corners=False)


def _task_ids(task: str | Sequence[int], pretrained: str, length: int) -> list[int]:
    """Token ids as the library's processor makes them, with zeros behind the last token."""
    if not isinstance(task, str):
        if len(task) > length:
            raise ValueError(f'model.task must have at most {length} token ids, but has {len(task)}')
        return [*task, *[0] * (length - len(task))]
    tokenizer = library().CLIPTokenizer.from_pretrained(pretrained)
    words = tokenizer(task, add_special_tokens=False)['input_ids']
    # Without its files, the library silently makes a tokenizer that knows no word.
    if not words or tokenizer.unk_token_id in words:
        raise ValueError(
            f'model.task: the tokenizer in {pretrained} cannot spell "{task}"; add its vocab.json and '
            'merges.txt, or give the ids of the tokens as model.task'
        )
    tokens = tokenizer(task, padding='max_length', max_length=length, truncation=True)
    return [index * real for index, real in zip(tokens['input_ids'], tokens['attention_mask'])]
