"""Mask classifiers of Hugging Face's ``transformers`` as segmentors."""

import difflib
import re
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.config import ConfigDict
from mmseg.models import EncoderDecoder
from mmseg.registry import DATASETS, MODELS
from torch import Tensor, nn

NETWORKS = dict(
    oneformer='OneFormerForUniversalSegmentation',
    mask2former='Mask2FormerForUniversalSegmentation',
    maskformer='MaskFormerForInstanceSegmentation',
)
LEAST_SCORE = 1e-8


@MODELS.register_module()
class HFUniversalSegmentor(EncoderDecoder):
    r"""OneFormer, Mask2Former or MaskFormer of Hugging Face's ``transformers``, for testing, labeling and teaching.

    Such a network predicts queries. Each query has a distribution over the classes and "no object", and a mask. The
    score of a class at a pixel sums the votes of the queries:

    .. math:: s_{cp} = \sum_q \mathrm{softmax}_c(z_q) \, \sigma(m_{qp})

    Scores are not probabilities: their sum is more than 1 at a pixel of several masks, and less at a pixel of none. The
    logits of this segmentor are the logarithm of the normalized scores, :math:`\log (s_{cp} / \sum_k s_{kp})`. Their
    softmax gives the normalized scores, as test-time augmentation, confidence thresholds and distillation terms expect,
    and their largest class is that of the scores. The sum of the scores is lost. Scores under 1e-8 count as 1e-8.

    In a path of a term, ``logits`` are these logits at the resolution of the masks (stride 4), and the paths of the
    network's modules begin with ``backbone.network``. Predictions resize the scores, as the library does, and then take
    the logarithm. Mask2Former's own post-processing first squeezes every mask to 384x384; here masks keep their shape.

    The pipeline prepares the images: its ``Resize`` takes the place of the resizing of the library's image processor.
    The class needs the extra ``hf``.

    Args:
        pretrained: A folder written by ``save_pretrained``, or a name on the hub, such as
            ``shi-labs/oneformer_cityscapes_swin_large``. Weights are loaded here: a teacher needs no ``checkpoint``.
        classes: The names of the classes in the order of the data set, or the name of a registered data set. The
            network's classes are brought into that order by their names (without case, spaces, punctuation, and
            synonyms behind a comma); classes that are not named are left out. None keeps the network's own classes.
        task: The task text for OneFormer, or the ids of its tokens where ``pretrained`` has no tokenizer. The two other
            networks read none.
        data_preprocessor: The config of the data preprocessor; by default one with the mean and std of the library's
            image processor.
        test_cfg: The test config of any segmentor, with ``mode='whole'`` or ``'slide'``.
        init_cfg: The config of the initialization, as in any MMEngine module.

    Raises:
        ImportError: if ``transformers`` is not installed.
        FileNotFoundError: if ``pretrained`` cannot be found.
        ValueError: if ``pretrained`` is another kind of network, has no weights for some layer, lacks a class, or
            cannot tokenize the task.

    Papers: Jain et al., "OneFormer" (CVPR 2023, arXiv 2211.06220); Cheng et al., "Masked-attention Mask Transformer for
    Universal Image Segmentation" (CVPR 2022, arXiv 2112.01527) and "Per-Pixel Classification is Not All You Need for
    Semantic Segmentation" (NeurIPS 2021, arXiv 2107.06278).

    Example:
        >>> teacher = dict(
        ...     model=dict(
        ...         type='HFUniversalSegmentor',
        ...         pretrained='shi-labs/oneformer_cityscapes_swin_large',
        ...         classes='CityscapesDataset'))
    """

    comes_with_weights = True

    def __init__(
        self,
        pretrained: str,
        classes: str | Sequence[str] | None = None,
        task: str | Sequence[int] = 'the task is semantic',
        data_preprocessor: dict | None = None,
        test_cfg: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        config = _read_config(pretrained)
        super().__init__(
            backbone=dict(type=MaskClassifier, config=config, pretrained=pretrained, task=task),
            decode_head=dict(type=MaskVotes, order=_class_order(config.id2label, classes, pretrained)),
            data_preprocessor=data_preprocessor or _read_preprocessing(pretrained),
            test_cfg=ConfigDict(test_cfg or dict(mode='whole')),
            init_cfg=init_cfg,
        )

    def encode_decode(self, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """Logarithm of the normalized scores (N, classes, H, W), at the size of the images."""
        scores = self.decode_head.scores(self.extract_feat(inputs))
        return log_shares(F.interpolate(scores, size=inputs.shape[2:], mode='bilinear', align_corners=False))

    def loss(self, inputs: Tensor, data_samples: list[Any]) -> dict[str, Tensor]:
        """Not available: this network cannot be trained here.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError(
            'HFUniversalSegmentor cannot be trained, only tested and distilled from; train '
            'another segmentor, with this one as its teacher'
        )


class MaskClassifier(nn.Module):
    """From images to class logits (N, Q, classes + 1) and mask logits (N, Q, H / 4, W / 4) of the queries.

    Args:
        config: The config of the network, as the library reads it.
        pretrained: The folder or name of the weights; see :class:`HFUniversalSegmentor`.
        task: The task text or its token ids; see :class:`HFUniversalSegmentor`.
    """

    def __init__(self, config: Any, pretrained: str, task: str | Sequence[int]) -> None:
        super().__init__()
        reads_task = config.model_type == 'oneformer'
        self.task_ids = _task_ids(task, pretrained, config.task_seq_len) if reads_task else None
        self.network = _load_network(config, pretrained)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        task = {}
        if self.task_ids is not None:
            task['task_inputs'] = torch.tensor([self.task_ids], device=images.device).expand(len(images), -1)
        outputs = self.network(pixel_values=images, **task)
        return outputs.class_queries_logits, outputs.masks_queries_logits


class MaskVotes(nn.Module):
    """Scores of the classes from the classes and masks of the queries; takes the place of a decode head.

    Args:
        order: The network's class for each class of the data set.
    """

    align_corners = False

    def __init__(self, order: Sequence[int]) -> None:
        super().__init__()
        self.order = list(order)
        self.num_classes = self.out_channels = len(self.order)

    def scores(self, queries: tuple[Tensor, Tensor]) -> Tensor:
        """Scores (N, classes, h, w), at the resolution of the masks, in float32."""
        classes, masks = queries
        with torch.autocast(masks.device.type, enabled=False):
            shares = classes.float().softmax(dim=-1)[..., self.order]
            return torch.einsum('nqc,nqhw->nchw', shares, masks.float().sigmoid())

    def forward(self, queries: tuple[Tensor, Tensor]) -> Tensor:
        """Logarithm of the normalized scores."""
        return log_shares(self.scores(queries))


def log_shares(scores: Tensor) -> Tensor:
    """Logarithm of the share of every class in the scores (N, C, H, W) of its pixel."""
    return F.log_softmax(scores.clamp_min(LEAST_SCORE).log(), dim=1)


def _library() -> Any:
    try:
        import transformers
    except ImportError:
        raise ImportError(
            'HFUniversalSegmentor needs transformers, which is not installed: pip install "mmseg-kd[hf]"'
        ) from None
    return transformers


def _read_config(pretrained: str) -> Any:
    library = _library()
    try:
        config = library.AutoConfig.from_pretrained(pretrained)
    except OSError as error:
        raise FileNotFoundError(
            f'model.pretrained must be a folder with a config.json or a name on the hub, but is '
            f'{pretrained}: {str(error).splitlines()[0]}'
        ) from None
    if config.model_type not in NETWORKS:
        raise ValueError(
            f'model.pretrained must hold one of {", ".join(NETWORKS)}, but {pretrained} is a {config.model_type}'
        )
    config.is_training = False  # in training, OneFormer needs texts for its contrastive loss
    return config


def _load_network(config: Any, pretrained: str) -> nn.Module:
    kind = getattr(_library(), NETWORKS[config.model_type])
    if torch.empty(0).is_meta:
        return kind(config)  # a dry run needs shapes only
    network, found = kind.from_pretrained(pretrained, config=config, dtype=torch.float32, output_loading_info=True)
    # The criterion's buffer of class weights has no effect on outputs.
    missing = sorted(name for name in found['missing_keys'] if not name.startswith('criterion.'))
    if missing:
        raise ValueError(
            f'model.pretrained: {pretrained} has no weights for {len(missing)} parameters of a '
            f'{config.model_type} ({", ".join(missing[:3])}, ...); its config.json is that of another network'
        )
    return network


def _read_preprocessing(pretrained: str) -> dict:
    try:
        settings, _ = _library().BaseImageProcessor.get_image_processor_dict(pretrained)
        mean, std = settings['image_mean'], settings['image_std']
    except (OSError, KeyError):
        raise ValueError(
            f'model.data_preprocessor must be given, since {pretrained} has no preprocessor_config.json with '
            'image_mean and image_std'
        ) from None
    levels = 1 / settings.get('rescale_factor', 1 / 255)
    return dict(
        type='SegDataPreProcessor',
        mean=[levels * value for value in mean],
        std=[levels * value for value in std],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
    )


def _task_ids(task: str | Sequence[int], pretrained: str, length: int) -> list[int]:
    """Token ids as the library's processor makes them, with zeros behind the last token."""
    if not isinstance(task, str):
        if len(task) > length:
            raise ValueError(f'model.task must have at most {length} token ids, but has {len(task)}')
        return [*task, *[0] * (length - len(task))]
    tokenizer = _library().CLIPTokenizer.from_pretrained(pretrained)
    words = tokenizer(task, add_special_tokens=False)['input_ids']
    # Without its files, the library silently makes a tokenizer that knows no word.
    if not words or tokenizer.unk_token_id in words:
        raise ValueError(
            f'model.task: the tokenizer in {pretrained} cannot spell "{task}"; add its vocab.json and '
            'merges.txt, or give the ids of the tokens as model.task'
        )
    tokens = tokenizer(task, padding='max_length', max_length=length, truncation=True)
    return [index * real for index, real in zip(tokens['input_ids'], tokens['attention_mask'])]


def _class_order(labels: dict[int, str], classes: str | Sequence[str] | None, pretrained: str) -> list[int]:
    """The network's index of each class."""
    if classes is None:
        return sorted(labels)
    if isinstance(classes, str):
        dataset = DATASETS.get(classes)
        if dataset is None:
            raise ValueError(f'model.classes must be names of classes or a registered data set, but is "{classes}"')
        classes = dataset.METAINFO['classes']
    known: dict[str, int] = {}
    for name_of in (lambda label: label, lambda label: label.split(',')[0]):
        for index in sorted(labels):
            known.setdefault(_plain(name_of(labels[index])), index)
    missing = [name for name in classes if _plain(name) not in known]
    if missing:
        close = difflib.get_close_matches(missing[0], labels.values(), n=3, cutoff=0.4)
        raise ValueError(
            f'model.classes: {pretrained} has no class {", ".join(missing)} (closest to the first: '
            f'{", ".join(close) or "none"}); give names of its classes, or take another network'
        )
    return [known[_plain(name)] for name in classes]


def _plain(name: str) -> str:
    return re.sub(r'[\W_]', '', name.lower())
